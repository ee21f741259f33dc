{{/*
Names are fixed, whatever the release is called: two operators in one namespace would share one Lease, and two of
cluster scope would both write, so a second install has to fail. Helm refuses it because the names are taken.
*/}}
{{- define "memory-operator.name" -}}memory-operator{{- end }}

{{/* Name of objects without a namespace: fixed in cluster scope, one per namespace otherwise. */}}
{{- define "memory-operator.clusterName" -}}
{{- if eq .Values.scope "cluster" }}memory-operator{{ else }}memory-operator-{{ .Release.Namespace }}{{ end }}
{{- end }}

{{/* Namespace with the engines; empty in cluster scope. */}}
{{- define "memory-operator.watchNamespace" -}}
{{- if eq .Values.scope "namespaced" -}}
{{- .Values.watchNamespace | default .Release.Namespace -}}
{{- else if .Values.watchNamespace -}}
{{- fail "watchNamespace is set but scope is cluster: set scope to namespaced, or leave watchNamespace empty" -}}
{{- end -}}
{{- end }}

{{- define "memory-operator.selector" -}}
app.kubernetes.io/name: memory-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "memory-operator.labels" -}}
{{ include "memory-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* Metadata every object has: (dict "context" $ "name" … "namespace" … "labels" … "annotations" …) */}}
{{- define "memory-operator.metadata" -}}
name: {{ .name }}
{{- with .namespace }}
namespace: {{ . }}
{{- end }}
labels:
  {{- merge (include "memory-operator.labels" .context | fromYaml) (.labels | default dict) .context.Values.labels | toYaml | nindent 2 }}
{{- with merge (dict) (.annotations | default dict) .context.Values.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* An image: (dict "context" $ "image" .Values.image) */}}
{{- define "memory-operator.image" -}}
{{- .image.repository }}:{{ .image.tag | default .context.Chart.AppVersion }}{{ with .image.digest }}@{{ . }}{{ end }}
{{- end }}

{{/* What the operator may do where the engines are. Each verb is used; a test compares them with the audit log. */}}
{{- define "memory-operator.engineRules" -}}
- apiGroups: [memoryengine.io]
  resources: [memoryengines]
  verbs: [list, watch]
- apiGroups: [memoryengine.io]
  resources: [memoryengines/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [persistentvolumeclaims, serviceaccounts, configmaps, services]
  verbs: [get, list, watch, create, patch]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch]
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
# What they say of a pod that Kubernetes does not make; read only while it makes none.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [list, create, patch]
- apiGroups: [""]
  resources: [limitranges]
  verbs: [list]
{{- end }}

{{/* What the operator may do outside namespaces. */}}
{{- define "memory-operator.clusterRules" -}}
- apiGroups: [storage.k8s.io]
  resources: [storageclasses]
  verbs: [get]
{{- end }}

{{- define "memory-operator.subjects" -}}
- kind: ServiceAccount
  name: {{ include "memory-operator.name" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}

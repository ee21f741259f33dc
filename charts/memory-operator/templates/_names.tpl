{{/*
Names do not depend on the release's name: two operators in one namespace would share one Lease, and two with cluster
scope would both write. A second install therefore has to fail; Helm refuses it because the names exist.
*/}}
{{- define "memory-operator.name" -}}memory-operator{{- end }}

{{/* Name of cluster-scoped objects: fixed in cluster scope, one per namespace otherwise. */}}
{{- define "memory-operator.clusterName" -}}
{{- if eq .Values.scope "cluster" }}memory-operator{{ else }}memory-operator-{{ .Release.Namespace }}{{ end }}
{{- end }}

{{/* The watched namespace; empty in cluster scope. */}}
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

{{/* Metadata of every object: (dict "context" $ "name" … "namespace" … "labels" … "annotations" …) */}}
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

{{/* An image reference: (dict "context" $ "image" .Values.image) */}}
{{- define "memory-operator.image" -}}
{{- .image.repository }}:{{ .image.tag | default .context.Chart.AppVersion }}{{ with .image.digest }}@{{ . }}{{ end }}
{{- end }}

{{/* Permissions in the watched namespaces. Each verb is used; a test compares them with the audit log. */}}
{{- define "memory-operator.engineRules" -}}
# patch: the finalizer of engines whose deletion waits for a last backup.
- apiGroups: [memoryengine.io]
  resources: [memoryengines]
  verbs: [list, watch, patch]
- apiGroups: [memoryengine.io]
  resources: [memoryengines/status, memorybackups/status]
  verbs: [patch]
# Records of backups, for engines with spec.backup.
- apiGroups: [memoryengine.io]
  resources: [memorybackups]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [persistentvolumeclaims, serviceaccounts]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  resources: [services, configmaps]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies, ingresses]
  verbs: [get, list, watch, create, patch, delete]
# Routes of public engines, if the cluster has the Gateway API.
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes, backendtlspolicies]
  verbs: [get, create, patch, delete]
- apiGroups: [gateway.networking.k8s.io]
  resources: [gateways]
  verbs: [get]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch]
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
# Events that explain why Kubernetes does not create a pod; read only in that case.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [list, create, patch]
- apiGroups: [""]
  resources: [limitranges]
  verbs: [list]
{{- end }}

{{/* Permissions on cluster-scoped resources. */}}
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

package main

import (
	"fmt"
	"sort"
	"strings"

	core "k8s.io/api/core/v1"
	net "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

type world struct {
	pods       []*core.Pod
	namespaces map[string]labels.Set
	policies   []*net.NetworkPolicy
}

type options struct {
	podCIDR, deny string
	nodeEgress    bool
}

// render is pure: the same world gives the same text.
func render(w world, o options) string {
	var known, dispatch, chains []string
	live := w.pods[:0:0]
	for _, p := range w.pods {
		if p.Status.PodIP != "" && !p.Spec.HostNetwork && p.Status.Phase != core.PodSucceeded && p.Status.Phase != core.PodFailed {
			live = append(live, p)
		}
	}
	sort.Slice(live, func(i, j int) bool { return live[i].Status.PodIP < live[j].Status.PodIP })
	sort.Slice(w.policies, func(i, j int) bool {
		return w.policies[i].Namespace+"/"+w.policies[i].Name < w.policies[j].Namespace+"/"+w.policies[j].Name
	})
	w.pods = live
	var in, out []string
	for _, p := range live {
		ip := p.Status.PodIP
		known = append(known, ip)
		dispatch = append(dispatch, fmt.Sprintf("\t\tip saddr %s ip daddr %s accept", ip, ip)) // nothing keeps a pod from itself
		for _, direction := range []net.PolicyType{net.PolicyTypeIngress, net.PolicyTypeEgress} {
			rules, isolated := w.rules(p, direction)
			if !isolated {
				continue
			}
			name := strings.ToLower(string(direction)) + "-" + strings.ReplaceAll(ip, ".", "-")
			chains = append(chains, fmt.Sprintf("\tchain %s { # %s/%s\n%s\t\tcounter %s\n\t}", name, p.Namespace, p.Name, rules, o.deny))
			if direction == net.PolicyTypeIngress {
				in = append(in, ip+" : jump "+name)
			} else {
				out = append(out, ip+" : jump "+name)
			}
		}
	}
	var b strings.Builder
	b.WriteString("add table inet netpol\ndelete table inet netpol\ntable inet netpol {\n\tset known { type ipv4_addr;")
	if len(known) > 0 {
		b.WriteString(" elements = { " + strings.Join(known, ", ") + " };")
	}
	b.WriteString(" }\n" + strings.Join(chains, "\n") + "\n\tchain forward {\n\t\ttype filter hook forward priority -10; policy accept;\n\t\tct state established,related accept\n")
	if o.podCIDR != "" {
		fmt.Fprintf(&b, "\t\tip saddr %s ip saddr != @known counter drop\n\t\tip daddr %s ip daddr != @known counter drop\n", o.podCIDR, o.podCIDR)
	}
	b.WriteString(strings.Join(dispatch, "\n") + "\n" + vmap("saddr", out) + vmap("daddr", in) + "\t}\n")
	if o.nodeEgress {
		b.WriteString("\tchain input {\n\t\ttype filter hook input priority -10; policy accept;\n\t\tct state established,related accept\n" + vmap("saddr", out) + "\t}\n")
	}
	return b.String() + "}\n"
}

func vmap(side string, entries []string) string {
	if len(entries) == 0 {
		return ""
	}
	return "\t\tip " + side + " vmap { " + strings.Join(entries, ", ") + " }\n"
}

// rules are the returns of a pod's chain; isolated says whether any policy selects the pod in this direction.
func (w world) rules(pod *core.Pod, direction net.PolicyType) (string, bool) {
	var b strings.Builder
	isolated := false
	for _, policy := range w.policies {
		if policy.Namespace != pod.Namespace || !selects(&policy.Spec.PodSelector, pod.Labels) || !has(policy, direction) {
			continue
		}
		isolated = true
		if direction == net.PolicyTypeIngress {
			for _, rule := range policy.Spec.Ingress {
				w.rule(&b, policy.Namespace, "saddr", rule.From, rule.Ports, func(*core.Pod) *core.Pod { return pod })
			}
		} else {
			for _, rule := range policy.Spec.Egress {
				w.rule(&b, policy.Namespace, "daddr", rule.To, rule.Ports, func(peer *core.Pod) *core.Pod { return peer })
			}
		}
	}
	return b.String(), isolated
}

func has(p *net.NetworkPolicy, direction net.PolicyType) bool {
	for _, t := range p.Spec.PolicyTypes {
		if t == direction {
			return true
		}
	}
	return false
}

// rule writes one line per peer address and port. named gives the pod in which a named port is looked up, nil where there is none.
func (w world) rule(b *strings.Builder, namespace, side string, peers []net.NetworkPolicyPeer, ports []net.NetworkPolicyPort, named func(*core.Pod) *core.Pod) {
	line := func(address string, peer *core.Pod) {
		if len(ports) == 0 {
			fmt.Fprintf(b, "\t\t%sreturn\n", address)
		}
		for _, p := range ports {
			if text := portText(p, named(peer)); text != "" {
				fmt.Fprintf(b, "\t\t%s%s return\n", address, text)
			}
		}
	}
	if len(peers) == 0 {
		line("", nil)
		if side == "daddr" { // a named port towards anyone: each pod has its own number for it
			for _, p := range w.pods {
				line("ip daddr "+p.Status.PodIP+" ", p)
			}
		}
	}
	for _, peer := range peers {
		if block := peer.IPBlock; block != nil {
			address := "ip " + side + " " + block.CIDR + " "
			if len(block.Except) > 0 {
				address += "ip " + side + " != { " + strings.Join(block.Except, ", ") + " } "
			}
			line(address, nil)
			continue
		}
		for _, p := range w.pods {
			inSpace := p.Namespace == namespace
			if peer.NamespaceSelector != nil {
				inSpace = selects(peer.NamespaceSelector, w.namespaces[p.Namespace])
			}
			if inSpace && (peer.PodSelector == nil || selects(peer.PodSelector, p.Labels)) {
				line("ip "+side+" "+p.Status.PodIP+" ", p)
			}
		}
	}
}

func selects(s *meta.LabelSelector, l map[string]string) bool {
	selector, err := meta.LabelSelectorAsSelector(s)
	return err == nil && selector.Matches(labels.Set(l))
}

func portText(p net.NetworkPolicyPort, pod *core.Pod) string {
	protocol := core.ProtocolTCP
	if p.Protocol != nil {
		protocol = *p.Protocol
	}
	proto := strings.ToLower(string(protocol))
	switch {
	case p.Port == nil:
		return "meta l4proto " + proto
	case p.Port.Type == intstr.Int && p.EndPort != nil:
		return fmt.Sprintf("%s dport %d-%d", proto, p.Port.IntVal, *p.EndPort)
	case p.Port.Type == intstr.Int:
		return fmt.Sprintf("%s dport %d", proto, p.Port.IntVal)
	case pod != nil:
		for _, c := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
			for _, cp := range c.Ports {
				if cp.Name == p.Port.StrVal && (cp.Protocol == protocol || cp.Protocol == "" && protocol == core.ProtocolTCP) {
					return fmt.Sprintf("%s dport %d", proto, cp.ContainerPort)
				}
			}
		}
	}
	return ""
}

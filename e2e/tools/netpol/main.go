// Command netpol enforces NetworkPolicy on the test cluster, which has one node: it watches pods, namespaces and policies,
// and keeps one nftables table equal to them. Every change renders the whole table anew and loads it in one
// transaction, so that no state can drift. It runs inside the network namespace of the node. Pods on a bridge pass the
// forward hook because net.bridge.bridge-nf-call-iptables is 1 there. IPv4 only. Traffic between a pod and its own node
// is open, as Kubernetes promises, unless -node-egress is given.
package main

import (
	"context"
	"flag"
	"log"
	"net/http"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// A burst of changes becomes one table.
const pause = 50 * time.Millisecond

func main() {
	kubeconfig := flag.String("kubeconfig", "", "path")
	listen := flag.String("listen", "127.0.0.1:10260", "health address: 200 once the first table is loaded")
	var o options
	flag.StringVar(&o.podCIDR, "pod-cidr", "10.244.0.0/16", "addresses in it that belong to no known pod are cut off: no gap while a pod starts")
	flag.StringVar(&o.deny, "deny", "drop", "what happens to refused traffic: drop, or reject, which makes tests faster")
	flag.BoolVar(&o.nodeEgress, "node-egress", false, "egress policies cover the node's own addresses too, as some networks do")
	flag.Parse()
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		log.Fatal(err)
	}
	factory := informers.NewSharedInformerFactory(kubernetes.NewForConfigOrDie(config), 0)
	pods, spaces, policies := factory.Core().V1().Pods(), factory.Core().V1().Namespaces(), factory.Networking().V1().NetworkPolicies()
	changed := make(chan struct{}, 1)
	touch := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	for _, informer := range []cache.SharedIndexInformer{pods.Informer(), spaces.Informer(), policies.Informer()} {
		informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: func(any) { touch() }, UpdateFunc: func(any, any) { touch() }, DeleteFunc: func(any) { touch() }})
	}
	factory.Start(context.Background().Done())
	factory.WaitForCacheSync(context.Background().Done())
	var loaded atomic.Bool
	go http.ListenAndServe(*listen, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !loaded.Load() {
			w.WriteHeader(503)
		}
	}))
	touch()
	last := ""
	for range changed {
		w := world{namespaces: map[string]labels.Set{}}
		w.pods, _ = pods.Lister().List(labels.Everything())
		w.policies, _ = policies.Lister().List(labels.Everything())
		all, _ := spaces.Lister().List(labels.Everything())
		for _, n := range all {
			w.namespaces[n.Name] = n.Labels
		}
		table := render(w, o)
		if table == last {
			continue
		}
		nft := exec.Command("nft", "-f", "-")
		nft.Stdin = strings.NewReader(table)
		if out, err := nft.CombinedOutput(); err != nil {
			log.Printf("nft: %v\n%s\n%s", err, out, table)
			time.AfterFunc(time.Second, touch)
			continue
		}
		last = table
		loaded.Store(true)
		log.Printf("loaded: %d pods, %d policies", len(w.pods), len(w.policies))
		time.Sleep(pause)
	}
}

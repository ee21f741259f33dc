// Command certmanager runs cert-manager's controllers for certificates, with issuers of the kinds CA and self-signed.
// The main package of cert-manager is in a module that is not published; what it starts is public. There is no webhook:
// the API server sets no defaults, and refuses nothing beyond the schema.
package main

import (
	"context"
	"flag"
	"log"
	"net"
	"time"

	"github.com/cert-manager/cert-manager/pkg/controller"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/approver"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/ca"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/selfsigned"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/issuing"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/keymanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/metrics"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/readiness"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/requestmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/revisionmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/trigger"
	_ "github.com/cert-manager/cert-manager/pkg/controller/issuers"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/ca"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/selfsigned"
)

// Workers of each controller.
const workers = 2

func main() {
	kubeconfig := flag.String("kubeconfig", "", "path of the kubeconfig")
	metrics := flag.String("metrics", "127.0.0.1:9402", "address of the metrics")
	flag.Parse()
	if err := run(context.Background(), *kubeconfig, *metrics); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, kubeconfig, metrics string) error {
	factory, err := controller.NewContextFactory(ctx, controller.ContextOptions{
		Kubeconfig:         kubeconfig,
		KubernetesAPIQPS:   50,
		KubernetesAPIBurst: 100,
		IssuerOptions:      controller.IssuerOptions{ClusterResourceNamespace: "cert-manager"},
		CertificateOptions: controller.CertificateOptions{
			// The defaults of cert-manager.
			CertificateRequestMinimumBackoffDuration: time.Hour,
			CertificateRequestMaximumBackoffDuration: 32 * time.Hour,
		},
	})
	if err != nil {
		return err
	}
	for name, build := range controller.Known() {
		running, err := build(factory)
		if err != nil {
			return err
		}
		go func() { log.Fatalf("%s ended: %v", name, running.Run(workers, ctx)) }()
	}
	shared, err := factory.Build()
	if err != nil {
		return err
	}
	shared.SharedInformerFactory.Start(ctx.Done())
	shared.KubeSharedInformerFactory.Start(ctx.Done())
	listener, err := net.Listen("tcp", metrics)
	if err != nil {
		return err
	}
	return shared.Metrics.NewServer(listener).Serve(listener)
}

// Command cert-manager runs the real cert-manager controllers and the real admission webhook in
// one process outside a cluster, bound to loopback.
//
// cert-manager keeps its own commands (cmd/controller, cmd/webhook) in modules that no module
// proxy carries, so this is the smallest main that starts the same code. Left out on purpose:
// leader election, the metrics server, and the ACME and Venafi issuers with their dependencies.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	internalwebhook "github.com/cert-manager/cert-manager/internal/webhook"
	"github.com/cert-manager/cert-manager/pkg/controller"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/approver"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/ca"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/selfsigned"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/vault"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/issuing"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/keymanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/metrics"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/readiness"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/requestmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/revisionmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/trigger"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificatesigningrequests/ca"
	_ "github.com/cert-manager/cert-manager/pkg/controller/clusterissuers"
	_ "github.com/cert-manager/cert-manager/pkg/controller/issuers"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/ca"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/selfsigned"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/vault"
	logf "github.com/cert-manager/cert-manager/pkg/logs"
	"github.com/cert-manager/cert-manager/pkg/util"
	"github.com/cert-manager/cert-manager/pkg/webhook/admission"
	webhookoptions "github.com/cert-manager/cert-manager/pkg/webhook/options"
)

// Upstream's defaults, from internal/apis/config/controller/v1alpha1/defaults.go. That package is
// not imported for them because it pulls in every ACME DNS provider.
const (
	defaultQPS        = 20
	defaultBurst      = 50
	workers           = 5
	minRequestBackoff = time.Hour
	maxRequestBackoff = 32 * time.Hour
)

const loopback = "127.0.0.1"

// Prefix of the controllers behind the feature gate ExperimentalCertificateSigningRequestControllers.
const signingRequests = "certificatesigningrequests-"

type options struct {
	kubeconfig               string
	clusterResourceNamespace string
	qps                      float64
	burst                    int
	webhookPort              int
	webhookCertificate       string
	webhookKey               string
	healthPort               int
	signingRequests          bool
}

func main() {
	opts, err := parse(os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	logf.InitLogs()
	defer logf.FlushLogs()
	ctrl.SetLogger(logf.Log)
	if err := run(logf.NewContext(ctx, logf.Log, "cert-manager"), opts); err != nil {
		fmt.Fprintln(os.Stderr, "cert-manager:", err)
		os.Exit(1)
	}
}

// parse reads the flags. The message of a mistake is already on stderr when it returns an error.
func parse(arguments []string) (options, error) {
	var o options
	// A flag set of its own: the imported packages have already taken names in flag.CommandLine.
	flags := flag.NewFlagSet("cert-manager", flag.ContinueOnError)
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "path of the kubeconfig (required)")
	flags.StringVar(&o.clusterResourceNamespace, "cluster-resource-namespace", "cert-manager",
		"namespace of the Secrets that ClusterIssuers refer to")
	flags.Float64Var(&o.qps, "kube-api-qps", defaultQPS,
		"API requests per second; unused where the server has API Priority and Fairness")
	flags.IntVar(&o.burst, "kube-api-burst", defaultBurst, "API request burst; unused as above")
	flags.IntVar(&o.webhookPort, "webhook-port", 0, "loopback port of the webhook (required)")
	flags.StringVar(&o.webhookCertificate, "webhook-tls-cert-file", "",
		"PEM file of the webhook's serving certificate (required)")
	flags.StringVar(&o.webhookKey, "webhook-tls-private-key-file", "",
		"PEM file of the webhook's private key (required)")
	flags.IntVar(&o.healthPort, "health-port", 0,
		"loopback port of /livez and /readyz, plain HTTP (required)")
	flags.BoolVar(&o.signingRequests, "certificate-signing-requests", false,
		"run only the controllers that sign Kubernetes' CertificateSigningRequests, which "+
			"upstream has behind a feature gate; no webhook and no health port")
	version := flags.Bool("version", false, "print the version of cert-manager and exit")
	if err := flags.Parse(arguments); err != nil {
		return o, err
	}
	if *version {
		fmt.Println(util.AppVersion)
		return o, flag.ErrHelp
	}
	serves := o.webhookPort != 0 && o.webhookCertificate != "" && o.webhookKey != "" &&
		o.healthPort != 0
	if o.kubeconfig == "" || serves == o.signingRequests || flags.NArg() > 0 {
		flags.Usage()
		return o, errors.New("usage")
	}
	return o, nil
}

// run returns when ctx ends or when any part has failed.
func run(ctx context.Context, o options) error {
	log := logf.FromContext(ctx)
	group, ctx := errgroup.WithContext(ctx)

	var synced atomic.Bool
	if o.signingRequests {
		if err := startControllers(ctx, group, o, &synced); err != nil {
			return fmt.Errorf("controllers: %w", err)
		}
		return group.Wait()
	}

	hooks, err := newWebhook(log, o)
	if err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	group.Go(func() error { return hooks.source.Start(ctx) })
	group.Go(func() error { return hooks.server.Start(ctx) })

	ready := func(request *http.Request) error {
		if !synced.Load() {
			return errors.New("informers have not synced: are the custom resource definitions installed?")
		}
		return hooks.server.StartedChecker()(request)
	}
	group.Go(func() error { return serveHealth(ctx, o.healthPort, ready) })

	if err := startControllers(ctx, group, o, &synced); err != nil {
		return fmt.Errorf("controllers: %w", err)
	}
	return group.Wait()
}

type hooks struct {
	server webhook.Server
	source certificateSource
}

// certificateSource watches the serving certificate's files.
type certificateSource interface {
	Start(ctx context.Context) error
	GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
}

// newWebhook takes cert-manager's own admission chain and serves it on loopback; upstream's
// server listens on every interface.
func newWebhook(log logr.Logger, o options) (*hooks, error) {
	config, err := webhookoptions.NewWebhookConfiguration()
	if err != nil {
		return nil, err
	}
	config.KubeConfig = o.kubeconfig
	config.TLSConfig.Filesystem.CertFile = o.webhookCertificate
	config.TLSConfig.Filesystem.KeyFile = o.webhookKey
	upstream, err := internalwebhook.NewCertManagerWebhookServer(log, *config)
	if err != nil {
		return nil, err
	}
	server := webhook.NewServer(webhook.Options{
		Host: loopback,
		Port: o.webhookPort,
		TLSOpts: []func(*tls.Config){func(c *tls.Config) {
			c.GetCertificate = upstream.CertificateSource.GetCertificate
		}},
	})
	server.Register("/mutate", admission.NewCustomMutationWebhook(upstream.MutationWebhook))
	server.Register("/validate",
		admission.NewCustomValidationWebhook(upstream.ResourceScheme, upstream.ValidationWebhook))
	return &hooks{server: server, source: upstream.CertificateSource}, nil
}

// startControllers starts the controllers that are asked for and then their informers.
// It sets synced once the informers hold what the cluster has.
func startControllers(
	ctx context.Context, group *errgroup.Group, o options, synced *atomic.Bool,
) error {
	factory, err := controller.NewContextFactory(ctx, controller.ContextOptions{
		Kubeconfig:         o.kubeconfig,
		KubernetesAPIQPS:   float32(o.qps),
		KubernetesAPIBurst: o.burst,
		IssuerOptions: controller.IssuerOptions{
			ClusterResourceNamespace: o.clusterResourceNamespace,
		},
		CertificateOptions: controller.CertificateOptions{
			CopiedAnnotationPrefixes:                 []string{"*", "-kubectl.kubernetes.io/", "-fluxcd.io/", "-argocd.argoproj.io/"},
			CertificateRequestMinimumBackoffDuration: minRequestBackoff,
			CertificateRequestMaximumBackoffDuration: maxRequestBackoff,
		},
	})
	if err != nil {
		return err
	}
	shared, err := factory.Build()
	if err != nil {
		return err
	}
	for name, construct := range controller.Known() {
		if strings.HasPrefix(name, signingRequests) != o.signingRequests {
			continue
		}
		loop, err := construct(factory)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		group.Go(func() error {
			if err := loop.Run(workers, ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
	}
	shared.SharedInformerFactory.Start(ctx.Done())
	shared.KubeSharedInformerFactory.Start(ctx.Done())
	shared.HTTP01ResourceMetadataInformersFactory.Start(ctx.Done())
	group.Go(func() error {
		shared.SharedInformerFactory.WaitForCacheSync(ctx.Done())
		shared.KubeSharedInformerFactory.WaitForCacheSync(ctx.Done())
		synced.Store(ctx.Err() == nil)
		return nil
	})
	return nil
}

// serveHealth answers /livez while the process runs and /readyz when ready returns nil.
func serveHealth(ctx context.Context, port int, ready func(*http.Request) error) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := ready(r); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	server := &http.Server{
		Addr:              net.JoinHostPort(loopback, fmt.Sprint(port)),
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
	}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

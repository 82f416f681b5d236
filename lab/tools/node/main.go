// The lab's node: kubelet's own code over a container runtime that only pretends.
//
// Secrets, ConfigMaps, projected volumes, tokens and ClusterTrustBundles become real directories
// below ROOT/pods/UID/volumes, with kubelet's own timing and its swap of "..data"; processes of the
// host use those directories in place of containers. What it cannot do stands in
// docs/architecture.md. The settings are those of Kubernetes' own hollow node
// (k8s.io/kubernetes/cmd/kubemark) except where a comment says why not.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"go.opentelemetry.io/otel/trace/noop"
	v1 "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	remote "k8s.io/cri-client/pkg"
	fakeremote "k8s.io/cri-client/pkg/fake"
	"k8s.io/klog/v2"
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"
	cadvisortest "k8s.io/kubernetes/pkg/kubelet/cadvisor/testing"
	"k8s.io/kubernetes/pkg/kubelet/cm"
	"k8s.io/kubernetes/pkg/kubemark"
)

// The default of kubelet's maxPods.
const maxPods = 110

type options struct {
	kubeconfig, name, root, featureGates, health string
	sync                                         time.Duration
}

func main() {
	klog.InitFlags(nil)
	var o options
	flag.StringVar(&o.kubeconfig, "kubeconfig", "", "file of the node's own identity, system:node:NAME")
	flag.StringVar(&o.name, "name", "lab-node", "name of the Node object")
	flag.StringVar(&o.root, "root-dir", "", "volumes appear below ROOT/pods/UID/volumes")
	flag.StringVar(&o.featureGates, "feature-gates", "", "as kubelet's")
	flag.StringVar(&o.health, "health-address", "", "HOST:PORT that answers /healthz once the node is Ready")
	flag.DurationVar(&o.sync, "sync-frequency", time.Minute, "kubelet's syncFrequency")
	flag.Parse()
	if err := run(o); err != nil {
		klog.Fatal(err)
	}
}

func run(o options) error {
	if o.featureGates != "" {
		if err := utilfeature.DefaultMutableFeatureGate.Set(o.featureGates); err != nil {
			return err
		}
	}
	config, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 50, 100
	client, err := clientset.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	// Kubelet itself ends only with its process.
	context.AfterFunc(ctx, func() { os.Exit(0) })

	kubelet, err := hollow(ctx, o, client)
	if err != nil {
		return err
	}
	if o.health != "" {
		go serveHealth(ctx, o, client)
	}
	kubelet.Run(ctx)
	return errors.New("kubelet has ended")
}

func hollow(ctx context.Context, o options, client *clientset.Clientset) (*kubemark.HollowKubelet, error) {
	flags, kubelet := kubemark.GetHollowKubeletConfig(&kubemark.HollowKubeletOptions{
		NodeName:           o.name,
		MaxPods:            maxPods,
		NodeLabels:         map[string]string{},
		RegisterWithTaints: []v1.Taint{},
	})
	// GetHollowKubeletConfig makes all its directories below one temporary one; ours is known.
	if err := os.RemoveAll(flags.RootDirectory); err != nil {
		return nil, err
	}
	flags.RootDirectory = o.root
	kubelet.StaticPodPath = filepath.Join(o.root, "static")
	kubelet.PodLogsDir = filepath.Join(o.root, "logs")
	for _, directory := range []string{o.root, kubelet.StaticPodPath, kubelet.PodLogsDir} {
		if err := os.MkdirAll(directory, 0o700); err != nil {
			return nil, err
		}
	}
	// Its server would listen on all addresses, and nothing here asks it anything.
	kubelet.EnableServer, kubelet.Address, kubelet.ReadOnlyPort = false, "127.0.0.1", 0
	kubelet.SyncFrequency.Duration = o.sync
	kubelet.ConfigMapAndSecretChangeDetectionStrategy = kubeletconfig.WatchChangeDetectionStrategy

	endpoint, err := fakeremote.GenerateEndpoint()
	if err != nil {
		return nil, err
	}
	runtime := fakeremote.NewFakeRemoteRuntime()
	if err := runtime.Start(endpoint); err != nil {
		return nil, err
	}
	service, err := remote.NewRemoteRuntimeService(ctx, endpoint, 15*time.Second, noop.NewTracerProvider(), false)
	if err != nil {
		return nil, err
	}
	// OSInterface stays kubemark's FakeOS: with the real one, removing a container deletes "*" of
	// the working directory, since the pretended runtime knows no path of a log.
	return kubemark.NewHollowKubelet(
		flags, kubelet, client, client, &cadvisortest.Fake{NodeName: o.name},
		runtime.ImageService, service, cm.NewStubContainerManager(),
	), nil
}

// serveHealth answers /healthz with 200 from when the API server says that the node is Ready.
func serveHealth(ctx context.Context, o options, client clientset.Interface) {
	http.HandleFunc("/healthz", func(answer http.ResponseWriter, _ *http.Request) {
		if fault := unready(ctx, o.name, client); fault != nil {
			http.Error(answer, fault.Error(), http.StatusServiceUnavailable)
		}
	})
	server := &http.Server{Addr: o.health, ReadHeaderTimeout: 10 * time.Second}
	klog.Fatal(server.ListenAndServe())
}

func unready(ctx context.Context, name string, client clientset.Interface) error {
	node, err := client.CoreV1().Nodes().Get(ctx, name, meta.GetOptions{})
	if err != nil {
		return err
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == v1.NodeReady {
			if condition.Status == v1.ConditionTrue {
				return nil
			}
			return fmt.Errorf("node %s is not ready: %s", name, condition.Message)
		}
	}
	return fmt.Errorf("node %s has no condition Ready yet", name)
}

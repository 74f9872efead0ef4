//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/clientcmd"
)

// reachable returns a kubeconfig with which programs of this host reach a
// cluster of the yard.
func (y *yard) reachable(t *testing.T, kubeconfig []byte) []byte {
	t.Helper()
	config, err := clientcmd.Load(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	for _, cluster := range config.Clusters {
		cluster.ProxyURL = y.report(t).ProxyURL()
	}
	written, err := clientcmd.Write(*config)
	if err != nil {
		t.Fatal(err)
	}
	return written
}

// etcdFollows waits until the members of the cluster's etcd are exactly the
// machines of its control plane, as etcd itself tells.
func (l *lead) etcdFollows(t *testing.T, workload string) {
	t.Helper()
	eventually(t, "etcd's members are the control planes", func(ctx context.Context) error {
		nodes, err := get[corev1.NodeList](l.yard, ctx, workload, "nodes", "-l", "node-role.kubernetes.io/control-plane")
		if err != nil {
			return err
		}
		var want []string
		for _, node := range nodes.Items {
			want = append(want, node.Name)
		}
		if len(want) == 0 {
			return fmt.Errorf("there is no control plane node")
		}
		got, err := l.etcdMembers(ctx, t, nodes.Items[0])
		if err != nil {
			return err
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			return fmt.Errorf("the members are %v, the control planes %v", got, want)
		}
		return nil
	})
}

// etcdMembers asks the etcd on a control plane for its members' names, with
// the certificate that kubeadm made for health checks.
func (l *lead) etcdMembers(ctx context.Context, t *testing.T, node corev1.Node) ([]string, error) {
	t.Helper()
	files := map[string][]byte{}
	for _, name := range []string{"ca.crt", "healthcheck-client.crt", "healthcheck-client.key"} {
		code, content := l.run(ctx, "exec", node.Name, "--", "cat", "/etc/kubernetes/pki/etcd/"+name)
		if code != 0 {
			return nil, fmt.Errorf("reading %s of machine %s: exit code %d", name, node.Name, code)
		}
		files[name] = []byte(content)
	}
	pair, err := tls.X509KeyPair(files["healthcheck-client.crt"], files["healthcheck-client.key"])
	if err != nil {
		return nil, err
	}
	authorities := x509.NewCertPool()
	authorities.AppendCertsFromPEM(files["ca.crt"])
	proxy, err := url.Parse(l.report(t).ProxyURL())
	if err != nil {
		return nil, err
	}
	// kubeadm has etcd listen on the address of the default route.
	public := slices.IndexFunc(node.Status.Addresses, func(a corev1.NodeAddress) bool {
		return a.Type == corev1.NodeExternalIP && net.ParseIP(a.Address).To4() != nil
	})
	if public < 0 {
		return nil, fmt.Errorf("node %s has no public address", node.Name)
	}
	client := &http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{
			Proxy:             http.ProxyURL(proxy),
			TLSClientConfig:   &tls.Config{RootCAs: authorities, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12},
			DisableKeepAlives: true,
		},
	}
	address := "https://" + net.JoinHostPort(node.Status.Addresses[public].Address, "2379") + "/v3/cluster/member/list"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader("{}"))
	if err != nil {
		return nil, err
	}
	answer, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	var list struct {
		Members []struct {
			Name      string
			IsLearner bool
		}
	}
	if err := json.NewDecoder(answer.Body).Decode(&list); err != nil {
		return nil, fmt.Errorf("etcd on %s answers %s: %w", node.Name, answer.Status, err)
	}
	var names []string
	for _, member := range list.Members {
		if member.IsLearner {
			return nil, fmt.Errorf("member %s does not vote yet", member.Name)
		}
		names = append(names, member.Name)
	}
	return names, nil
}

#!/usr/bin/env bash
# Brings the webhooks of an extension that runs on this machine (make start) into a cluster whose API server cannot reach it:
#
#   hack/hook-me.sh <provider> <namespace> <webhook port> <port in the cluster>
#   hack/hook-me.sh packet extension-provider-packet-9r7xh 8443 10250
#
# A pod with the labels that the extension's Service selects accepts the connections, and `kubectl exec` brings them here. The port
# in the cluster is the Service's targetPort. Interrupt it to end; the pod is removed. KUBECONFIG says which cluster.
set -euo pipefail

cd "$(dirname "$0")/.."

usage() {
  sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
  echo "hook-me: $1" >&2
  exit 2
}

[ $# -eq 4 ] || usage "four arguments are needed, there are $#"
provider=$1 namespace=$2 webhook_port=$3 cluster_port=$4
for port in "$webhook_port" "$cluster_port"; do
  case $port in
  *[!0-9]* | '') usage "\"$port\" is no port: a number from 1 to 65535" ;;
  esac
done
command -v kubectl >/dev/null || usage "kubectl is not installed; bin/machine-image/kube kubectl is one, after make build"

# IMAGE only has to have a shell. Take one from a registry that the cluster reaches.
image=${TUNNEL_IMAGE:-busybox:stable}
name=gardener-extension-provider-$provider
pod=$name-tunnel

target=$(kubectl --namespace "$namespace" get service "$name" --output 'jsonpath={.spec.ports[0].targetPort}') || {
  echo "hook-me: there is no Service $name in namespace $namespace: register the extension, and wait until gardenlet deployed it (kubectl get ns)" >&2
  exit 1
}
if [ "$target" != "$cluster_port" ]; then
  echo "hook-me: the Service $name leads to port $target: give that as the last argument, in place of $cluster_port" >&2
  exit 1
fi
running=$(kubectl --namespace "$namespace" get pods --selector "app.kubernetes.io/name=$name" --output name | grep -v "/$pod\$" || true)
if [ -n "$running" ]; then
  echo "hook-me: $running would answer too: set replicaCount: 0 in the extension's values (docs/gardener/development.md)" >&2
  exit 1
fi

# gardenlet gives the release the extension's name, which the Service selects.
instance=$(kubectl --namespace "$namespace" get service "$name" --output 'jsonpath={.spec.selector.app\.kubernetes\.io/instance}')
cleanup() { kubectl --namespace "$namespace" delete pod "$pod" --ignore-not-found --now >/dev/null 2>&1 || true; }
trap cleanup EXIT
cleanup
kubectl apply --filename - >/dev/null <<POD
apiVersion: v1
kind: Pod
metadata:
  name: $pod
  namespace: $namespace
  labels:
    app.kubernetes.io/name: $name
    app.kubernetes.io/instance: "$instance"
    networking.gardener.cloud/to-runtime-apiserver: allowed
spec:
  terminationGracePeriodSeconds: 0
  automountServiceAccountToken: false
  securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: tunnel
    image: $image
    command: [sh, -c, "while true; do sleep 3600; done"]
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
    readinessProbe: {tcpSocket: {port: $cluster_port}, periodSeconds: 1}
    volumeMounts: [{name: tunnel, mountPath: /tunnel}]
  volumes: [{name: tunnel, emptyDir: {}}]
POD
echo "hook-me: waiting for pod $pod with image $image"
until [ "$(kubectl --namespace "$namespace" get pod "$pod" --output 'jsonpath={.status.phase}')" = Running ]; do
  reason=$(kubectl --namespace "$namespace" get pod "$pod" --output 'jsonpath={.status.containerStatuses[0].state.waiting.reason}')
  case $reason in
  ErrImagePull | ImagePullBackOff | InvalidImageName)
    echo "hook-me: the cluster cannot get the image $image: set TUNNEL_IMAGE to one that it can get and that has a shell" >&2
    exit 1
    ;;
  esac
  sleep 1
done

# The other end is put into the pod, built for its node.
node=$(kubectl --namespace "$namespace" get pod "$pod" --output 'jsonpath={.spec.nodeName}')
arch=$(kubectl get node "$node" --output 'jsonpath={.status.nodeInfo.architecture}')
mkdir -p bin/tunnel
CGO_ENABLED=0 GOOS=linux GOARCH=$arch go build -ldflags '-s -w' -o "bin/tunnel/linux-$arch" ./hack/tunnel
CGO_ENABLED=0 go build -o bin/tunnel/here ./hack/tunnel
kubectl --namespace "$namespace" exec --stdin "$pod" -- sh -c 'cat >/tunnel/tunnel && chmod +x /tunnel/tunnel' <"bin/tunnel/linux-$arch"

echo "hook-me: $name in $namespace leads to port $webhook_port of this machine. Interrupt to end."
while true; do
  bin/tunnel/here here "localhost:$webhook_port" kubectl --namespace "$namespace" exec --stdin "$pod" -- /tunnel/tunnel pod ":$cluster_port" || true
  kubectl --namespace "$namespace" get pod "$pod" >/dev/null || exit 1
  echo "hook-me: the connection to the cluster was lost, and is made again"
  sleep 2
done

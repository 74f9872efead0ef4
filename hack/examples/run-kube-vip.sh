#!/bin/sh
# Writes the static pod of kube-vip, which announces the address of the API server to Packet's routers by BGP as long as
# the machine's own API server is well. The provider has enabled BGP for the project and opens a session for each control
# plane machine; the machine's metadata tell with whom to speak, and the routers are reached through the gateway of the
# private network.
#
# kube-vip gives the address to the machine itself too. The first machine needs that before kubeadm runs, and any other
# machine only afterwards: until then it reaches the cluster by that address.
set -eu
case "$1" in
before-kubeadm) [ -e /run/kubeadm/kubeadm.yaml ] || exit 0 ;;
after-kubeadm) [ -e /run/kubeadm/kubeadm-join-config.yaml ] || exit 0 ;;
esac
endpoint=$(sed -n -e 's/^ *controlPlaneEndpoint: *//p' -e 's/^ *apiServerEndpoint: *//p' /run/kubeadm/*.yaml | head -n 1 | tr -d "\"'")
address=$(echo "$endpoint" | sed 's/:[0-9]*$//')
port=$(echo "$endpoint" | sed 's/^.*://')

# Each value of the metadata on a line of its own. The session is opened when the machine exists, which may be later.
metadata() {
  curl -fsS --retry 10 --retry-connrefused "$METADATA_URL/metadata" | tr -d ' \n' | tr ',{}[]' '\n'
}
value() {
  echo "$neighbor" | sed -n "s/^\"$1\"://p" | head -n 1 | tr -d '"'
}
attempts=0
until neighbor=$(metadata) && [ -n "$(value customer_as)" ]; do
  attempts=$((attempts + 1))
  if [ "$attempts" -eq 100 ]; then
    echo "the machine has no BGP session" >&2
    exit 1
  fi
  sleep 3
done
private=$(value customer_ip)
gateway=$(ip -4 route show 10.0.0.0/8 | awk '{ print $3; exit }')
for router in 169.254.255.1 169.254.255.2; do
  ip route replace "$router" via "$gateway"
done
# The routers' number, the password or none, and that they are more than one hop away.
common="$(value peer_as):$(value md5_password):true"

mkdir -p /etc/kubernetes/manifests
# The manifest holds the password.
umask 077
cat >/etc/kubernetes/manifests/kube-vip.yaml <<MANIFEST
apiVersion: v1
kind: Pod
metadata:
  name: kube-vip
  namespace: kube-system
spec:
  hostNetwork: true
  priorityClassName: system-node-critical
  # The API server of this machine, which is there before the address is.
  hostAliases:
    - hostnames: [kubernetes]
      ip: 127.0.0.1
  containers:
    - name: kube-vip
      image: ghcr.io/kube-vip/kube-vip:$KUBE_VIP_VERSION
      imagePullPolicy: IfNotPresent
      args: [manager]
      env:
        - {name: address, value: "$address"}
        - {name: port, value: "$port"}
        - {name: vip_interface, value: lo}
        - {name: vip_subnet, value: "32"}
        - {name: vip_arp, value: "false"}
        - {name: vip_leaderelection, value: "false"}
        - {name: vip_nodename, value: "$(hostname)"}
        - {name: cp_enable, value: "true"}
        - {name: cp_namespace, value: kube-system}
        - {name: svc_enable, value: "false"}
        - {name: bgp_enable, value: "true"}
        - {name: bgp_routerid, value: "$private"}
        - {name: bgp_sourceip, value: "$private"}
        - {name: bgp_as, value: "$(value customer_as)"}
        - {name: bgp_peers, value: "169.254.255.1:$common,169.254.255.2:$common"}
        # The address is withdrawn while the API server is not well.
        - {name: control_plane_health_check_address, value: "https://kubernetes:$port/readyz"}
        - {name: control_plane_health_check_ca_path, value: /etc/kubernetes/pki/ca.crt}
        - {name: control_plane_health_check_period_seconds, value: "2"}
        - {name: control_plane_health_check_timeout_seconds, value: "5"}
        - {name: control_plane_health_check_failure_threshold, value: "3"}
      securityContext:
        capabilities:
          add: [NET_ADMIN, NET_RAW]
          drop: [ALL]
      volumeMounts:
        - name: kubeconfig
          mountPath: /etc/kubernetes/admin.conf
        - name: ca
          mountPath: /etc/kubernetes/pki/ca.crt
          readOnly: true
  volumes:
    - name: kubeconfig
      hostPath:
        path: /etc/kubernetes/admin.conf
        type: FileOrCreate
    - name: ca
      hostPath:
        path: /etc/kubernetes/pki/ca.crt
        type: File
MANIFEST

#!/bin/sh
# Writes the static pod of kube-vip, which announces the address of the API server to Packet's routers by BGP. The
# provider has enabled BGP for the project and opens a session for each control plane machine; the routers are the
# same everywhere, and are reached through the gateway of the private network.
set -eu
endpoint=$(sed -n -e 's/^ *controlPlaneEndpoint: *//p' -e 's/^ *apiServerEndpoint: *//p' /run/kubeadm/*.yaml | head -n 1 | tr -d "\"'")
address=$(echo "$endpoint" | sed 's/:[0-9]*$//')
port=$(echo "$endpoint" | sed 's/^.*://')
private=$(curl -fsS --retry 10 --retry-connrefused "$METADATA_URL/2009-04-04/meta-data/local-ipv4")
gateway=$(ip -4 route show 10.0.0.0/8 | awk '{ print $3; exit }')
for router in 169.254.255.1 169.254.255.2; do
  ip route replace "$router" via "$gateway"
done

mkdir -p /etc/kubernetes/manifests
cat >/etc/kubernetes/manifests/kube-vip.yaml <<MANIFEST
apiVersion: v1
kind: Pod
metadata:
  name: kube-vip
  namespace: kube-system
spec:
  hostNetwork: true
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
        - {name: cp_enable, value: "true"}
        - {name: cp_namespace, value: kube-system}
        - {name: svc_enable, value: "false"}
        - {name: bgp_enable, value: "true"}
        - {name: bgp_routerid, value: "$private"}
        - {name: bgp_sourceip, value: "$private"}
        - {name: bgp_as, value: "65000"}
        - {name: bgp_peers, value: "169.254.255.1:65530::true,169.254.255.2:65530::true"}
      securityContext:
        capabilities:
          add: [NET_ADMIN, NET_RAW]
          drop: [ALL]
      volumeMounts:
        - name: kubeconfig
          mountPath: /etc/kubernetes/admin.conf
  volumes:
    - name: kubeconfig
      hostPath:
        path: /etc/kubernetes/admin.conf
        type: FileOrCreate
MANIFEST

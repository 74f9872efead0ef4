package bastion

import (
	"encoding/base64"
	"strings"
)

// shebang begins every script that a system runs as user data.
const shebang = "#!"

// userData is the script that a bastion's device runs at its first boot: it sets up the packet filter, for every boot, and then
// runs the script of the Bastion. Without the filter nobody gets in: the Bastion's script is what adds the account and its key.
func userData(from []allowed, bastionScript []byte) string {
	return strings.NewReplacer(
		"@INGRESS@", encode([]byte(ingressScript(from))),
		"@UNIT@", encode([]byte(unit)),
		"@SCRIPT@", encode(bastionScript),
	).Replace(firstBoot)
}

func encode(content []byte) string { return base64.StdEncoding.EncodeToString(content) }

// ingressScript sets up the packet filter by whichever program the system has.
func ingressScript(from []allowed) string {
	return "#!/bin/sh\nset -eu\nif command -v nft >/dev/null; then\nnft -f - <<'RULES'\n" + nftables(from) + "RULES\n" +
		"else\n" + iptables(from) + "fi\n"
}

// The files are encoded, so that nothing in them can end a quotation. /etc is writable on every system that takes scripts. The unit
// is enabled by its link: the next boot is what it is for, and systemctl may not be able to do anything this early.
const firstBoot = `#!/bin/sh
set -eu
umask 077
mkdir -p /etc/gardener-bastion
base64 -d >/etc/gardener-bastion/ingress.sh <<'CONTENT'
@INGRESS@
CONTENT
base64 -d >/etc/gardener-bastion/user-data <<'CONTENT'
@SCRIPT@
CONTENT
if ! sh /etc/gardener-bastion/ingress.sh; then
  echo "gardener-bastion: the packet filter cannot be set up, so nobody is let in" >&2
  exit 1
fi
if [ -d /etc/systemd/system ]; then
  base64 -d >/etc/systemd/system/gardener-bastion-ingress.service <<'CONTENT'
@UNIT@
CONTENT
  chmod 644 /etc/systemd/system/gardener-bastion-ingress.service
  mkdir -p -m 755 /etc/systemd/system/multi-user.target.wants
  ln -sf ../gardener-bastion-ingress.service /etc/systemd/system/multi-user.target.wants/gardener-bastion-ingress.service
fi
chmod 700 /etc/gardener-bastion/user-data
exec /etc/gardener-bastion/user-data
`

const unit = `[Unit]
Description=Packet filter of a Gardener bastion
DefaultDependencies=no
After=local-fs.target
Before=network-pre.target
Wants=network-pre.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh /etc/gardener-bastion/ingress.sh

[Install]
WantedBy=multi-user.target
`

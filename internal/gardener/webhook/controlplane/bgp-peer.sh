#!/bin/sh
# Routes the BGP speakers of the switches through the gateway of the machine's private network. It changes nothing where the
# routes are there, and can be run at any time. It needs iproute2, awk, and for a metadata service without TLS bash; no jq.
set -eu
LC_ALL=C
export LC_ALL

metadata_url=${METADATA_URL:-http://metadata.packet.net}
# The gateway is kept until the next boot, so that the metadata service is asked once and not every minute.
kept=${GATEWAY_FILE:-/run/bgp-peer-gateway}
peers="169.254.255.1 169.254.255.2"

say() {
	echo "bgp-peer: $*" >&2
}

# fetch prints what is at a URL.
fetch() {
	case $1 in
	http://*) fetch_plainly "$1" ;;
	*)
		if command -v curl >/dev/null; then
			curl --fail --silent --show-error --max-time 20 "$1"
		else
			wget -q -T 20 -O - "$1"
		fi
		;;
	esac
}

# fetch_plainly does so without a program for it: bash can open connections.
fetch_plainly() {
	rest=${1#http://}
	authority=${rest%%/*}
	path=/${rest#*/}
	port=80
	host=$authority
	case $authority in
	\[*\]) ;;
	*:*)
		port=${authority##*:}
		host=${authority%:*}
		;;
	esac
	host=${host#\[}
	host=${host%\]}
	# An answer to HTTP/1.0 is not in chunks.
	timeout 20 bash -c '
		exec 3<>"/dev/tcp/$1/$2" || exit
		printf "GET %s HTTP/1.0\r\nHost: %s\r\nAccept: application/json\r\nConnection: close\r\n\r\n" "$3" "$4" >&3
		cat <&3
	' bash "$host" "$port" "$path" "$authority" | awk '
		NR == 1 && $2 != 200 { exit 1 }
		body { print }
		/^\r?$/ { body = 1 }
		END { if (!body) exit 1 }
	'
}

# private_gateway reads the metadata, and prints the gateway of the private IPv4 address that the machine is managed by. The
# document is read as JSON: its custom data, which is the user's, may have anything in it.
private_gateway() {
	awk '
		{ text = text $0 "\n" }

		function value_ends() {
			if (pending && !list[depth] && where == ".network.addresses[]")
				address[key] = value
			pending = 0
			value = ""
		}

		function opens(is_list) {
			inside = depth == 0 ? "" : (list[depth] ? where "[]" : where "." key)
			outside[++depth] = where
			where = inside
			list[depth] = is_list
			if (where == ".network.addresses[]") {
				address["address_family"] = address["public"] = address["management"] = address["gateway"] = ""
			}
		}

		function closes() {
			value_ends()
			if (where == ".network.addresses[]" && address["address_family"] == "4" && address["public"] == "false" && address["management"] == "true" && address["gateway"] != "") {
				print address["gateway"]
				found = 1
				exit
			}
			where = outside[depth--]
		}

		END {
			if (found)
				exit
			end = length(text)
			for (i = 1; i <= end; i++) {
				c = substr(text, i, 1)
				if (c == "\"") {
					value = ""
					for (i++; i <= end && (c = substr(text, i, 1)) != "\""; i++) {
						if (c == "\\")
							c = substr(text, ++i, 1)
						value = value c
					}
					pending = 1
				} else if (c == "{") {
					opens(0)
				} else if (c == "[") {
					opens(1)
				} else if (c == "}" || c == "]") {
					closes()
				} else if (c == ",") {
					value_ends()
				} else if (c == ":") {
					key = value
					value = ""
					pending = 0
				} else if (c != " " && c != "\t" && c != "\r" && c != "\n") {
					value = value c
					pending = 1
				}
			}
		}
	'
}

# routed_gateway prints the gateway that the image of the operating system was set up with, for when nobody answers.
routed_gateway() {
	ip -4 route show 10.0.0.0/8 | awk '{ for (i = 1; i < NF; i++) if ($i == "via") { print $(i + 1); exit } }'
}

# route makes the routes, or leaves them as they are.
route() {
	for peer in $peers; do
		ip route replace "$peer" via "$1" || return 1
	done
}

if [ -r "$kept" ] && route "$(cat "$kept")" 2>/dev/null; then
	exit 0
fi

gateway=$(fetch "${metadata_url%/}/metadata" | private_gateway) || gateway=
if [ -z "$gateway" ]; then
	say "$metadata_url tells no private gateway, taking it from the routes"
	gateway=$(routed_gateway)
fi
case $gateway in
*[!0-9.]* | '')
	say "there is no gateway of a private IPv4 network, so there are no routes to the BGP peers"
	exit 1
	;;
esac
route "$gateway"
echo "$gateway" >"$kept"
say "the BGP peers are reached through $gateway"

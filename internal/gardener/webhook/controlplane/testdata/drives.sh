#!/bin/sh
# Plays the drives of a server and the programs that see them; it is called by the names of those programs. $SIMULATED has a file for
# each drive and each logical volume, which says what is on it.
set -eu
program=${0##*/}
echo "$program $*" >>"$SIMULATED/log"

# content is the file that says what is on a device.
content() {
	case $1 in
	/dev/data/*) echo "$SIMULATED/volumes/${1##*/}" ;;
	*) echo "$SIMULATED/drives/${1##*/}" ;;
	esac
}

last() {
	for word in "$@"; do :; done
	echo "$word"
}

option() {
	wanted=$1
	shift
	while [ $# -gt 1 ]; do
		if [ "$1" = "$wanted" ]; then
			echo "$2"
			return
		fi
		shift
	done
}

case $program in
lsblk)
	case " $* " in
	*" --nodeps "*)
		for drive in "$SIMULATED"/drives/*; do
			case $(cat "$drive") in
			cdrom) echo "/dev/${drive##*/} rom 1 1" ;;
			stick) echo "/dev/${drive##*/} disk 0 1" ;;
			*) echo "/dev/${drive##*/} disk 0 0" ;;
			esac
		done
		;;
	*)
		device=$(last "$@")
		echo "$device"
		if [ "$(cat "$(content "$device")")" = partitions ]; then
			echo "${device}1"
		fi
		;;
	esac
	;;
blkid)
	case $(cat "$(content "$2")") in
	blank | stick) exit 2 ;;
	esac
	;;
pvs)
	for drive in "$SIMULATED"/drives/*; do
		if [ "$(cat "$drive")" = unused ]; then
			echo "  /dev/${drive##*/}"
		fi
	done
	;;
vgs)
	[ -e "$SIMULATED/group" ] || exit 5
	if [ "$(option --options "$@")" = vg_free ]; then
		echo "  $(cat "$SIMULATED/group")"
	fi
	;;
vgcreate)
	shift 2
	if [ -e "$SIMULATED/interrupt" ]; then
		rm "$SIMULATED/interrupt"
		echo unused >"$(content "$1")"
		exit 5
	fi
	for drive in "$@"; do
		echo member >"$(content "$drive")"
	done
	echo $(($# * 1000)) >"$SIMULATED/group"
	;;
vgchange) ;;
lvs) [ -e "$SIMULATED/volumes/${1##*/}" ] || exit 5 ;;
lvcreate)
	size=$(option --size "$@")
	echo $(($(cat "$SIMULATED/group") - ${size%b})) >"$SIMULATED/group"
	echo blank >"$SIMULATED/volumes/$(option --name "$@")"
	;;
mkfs.ext4) echo ext4 >"$(content "$(last "$@")")" ;;
mountpoint) grep -qx "$2" "$SIMULATED/mounts" ;;
mount) last "$@" >>"$SIMULATED/mounts" ;;
umount)
	# What was copied onto the volume is there, and no longer in the folder.
	cp -a "$1/." "$SIMULATED/copied/"
	find "$1" -mindepth 1 -delete
	;;
systemctl) exit 3 ;;
esac

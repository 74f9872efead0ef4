#!/bin/sh
# Makes the data volumes of a machine and mounts them: lvm.sh NAME:BYTES:FOLDER[:LABEL]...
#
# The drives that nothing is on become a volume group, and each data volume a logical volume with an ext4 file system. What is
# there is never formatted again, so it runs at each boot, and again after it was interrupted. It needs lvm2 and e2fsprogs.
set -eu
group=data

fail() {
	echo "data volumes: $*" >&2
	exit 1
}

# is_blank tells whether neither a partition table nor a file system nor anything else known is on a device.
is_blank() {
	code=0
	blkid -p "$1" >/dev/null 2>&1 || code=$?
	[ "$code" -eq 2 ]
}

# blank_drives prints the whole drives that nothing is on and nothing uses.
blank_drives() {
	lsblk --nodeps --noheadings --raw --paths --output NAME,TYPE,RO,RM | while read -r name type read_only removable; do
		[ "$type" = disk ] && [ "$read_only" = 0 ] && [ "$removable" = 0 ] || continue
		# A drive with partitions or holders has more lines than its own.
		[ "$(lsblk --noheadings --raw --paths --output NAME "$name" | wc -l)" -eq 1 ] || continue
		if is_blank "$name"; then
			echo "$name"
		fi
	done
}

# make_group makes the volume group, also of drives that an interrupted attempt has prepared.
make_group() {
	drives="$(pvs --noheadings --options pv_name --select 'vg_name=""') $(blank_drives)"
	# Names of devices have no spaces.
	# shellcheck disable=SC2086
	set -- $drives
	[ $# -gt 0 ] || fail "there is no drive that nothing is on, so there is no place for data volumes"
	vgcreate --yes "$group" "$@"
}

# make_volume makes a logical volume and its file system, as far as they are not there.
make_volume() {
	if ! lvs "$group/$1" >/dev/null 2>&1; then
		free=$(vgs --noheadings --nosuffix --units b --options vg_free "$group" | tr -d ' ')
		[ "$free" -ge "$2" ] || fail "$1 is to have $2 bytes, but the drives have $free left"
		lvcreate --yes --wipesignatures y --name "$1" --size "${2}b" "$group"
	fi
	if is_blank "/dev/$group/$1"; then
		if [ -n "$3" ]; then
			# The kubelet limits the space of pods by project quotas.
			mkfs.ext4 -q -L "$3" -O quota -E quotatype=usrquota:grpquota:prjquota "/dev/$group/$1"
		else
			mkfs.ext4 -q "/dev/$group/$1"
		fi
	fi
}

# mount_volume mounts a volume where it belongs. What the image of the operating system has in that folder moves onto it.
mount_volume() {
	if mountpoint -q "$2"; then
		return
	fi
	options=defaults
	if [ -n "$3" ]; then
		options=defaults,prjquota,errors=remount-ro
	fi
	running=
	if [ "$2" = /var/lib/containerd ] && systemctl is-active --quiet containerd.service; then
		running=containerd.service
		systemctl stop "$running"
	fi
	mkdir -p "$2"
	if [ -n "$(ls -A "$2")" ]; then
		passage=$(mktemp -d)
		mount "/dev/$group/$1" "$passage"
		# A volume that was in use is newer than the image.
		if [ -z "$(ls -A "$passage" | grep -v '^lost+found$')" ]; then
			cp -a "$2/." "$passage/"
		fi
		umount "$passage"
		rmdir "$passage"
	fi
	mount -o "$options" "/dev/$group/$1" "$2"
	if [ -n "$running" ]; then
		# systemd may be waiting for this unit before it starts another one.
		systemctl start --no-block "$running"
	fi
}

for program in vgcreate lvcreate mkfs.ext4 lsblk blkid; do
	command -v "$program" >/dev/null || fail "$program is missing in this operating system"
done

if vgs "$group" >/dev/null 2>&1; then
	vgchange --activate y "$group" >/dev/null
else
	make_group
fi
for volume in "$@"; do
	IFS=: read -r name bytes folder label <<-VOLUME
		$volume
	VOLUME
	make_volume "$name" "$bytes" "$label"
	mount_volume "$name" "$folder" "$label"
done

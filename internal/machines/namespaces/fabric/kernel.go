package fabric

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

const sysctls = "/proc/sys/net"

// hasIPv6 tells whether the kernel has IPv6 at all.
func hasIPv6() bool {
	_, err := os.Stat(filepath.Join(sysctls, "ipv6/conf"))
	return err == nil
}

// configureKernel makes the caller's network namespace a router, for links
// made later (default), for all, or for one by name. Settings that a kernel
// does not have are passed over; forwarding is a must.
func configureKernel(links ...string) error {
	if err := set("ipv4/ip_forward", "1"); err != nil {
		return err
	}
	optional := map[string]string{
		"ipv6/conf/all/forwarding": "1",
		// Of several machines that announce an address, ports too say which one
		// a connection goes to, as on a switch.
		"ipv4/fib_multipath_hash_policy": "1",
		"ipv6/fib_multipath_hash_policy": "1",
	}
	for _, link := range links {
		// Machines reach each other through the very link they are on: no
		// redirects to tell them otherwise, and no check of the way back.
		optional["ipv4/conf/"+link+"/rp_filter"] = "0"
		optional["ipv4/conf/"+link+"/send_redirects"] = "0"
		optional["ipv6/conf/"+link+"/accept_dad"] = "0"
		optional["ipv6/conf/"+link+"/accept_ra"] = "0"
	}
	for name, value := range optional {
		if err := set(name, value); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func set(name, value string) error {
	path := filepath.Join(sysctls, name)
	err := os.WriteFile(path, []byte(value), 0o644)
	if errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("setting %s to %s: %w (is this a container that may not change its own /proc?)", path, value, err)
	}
	if err != nil {
		return fmt.Errorf("setting %s to %s: %w", path, value, err)
	}
	return nil
}

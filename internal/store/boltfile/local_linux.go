package boltfile

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"
)

// remote names the file systems on which locks or the order of writes are not
// what bbolt needs, by the magic number that statfs(2) gives.
func remote(magic int64) string {
	switch uint32(magic) { // #nosec G115 -- some kernels extend the sign
	case 0x6969:
		return "NFS"
	case 0x517b, 0xfe534d42, 0xff534d42:
		return "SMB"
	case 0x65735546:
		return "FUSE"
	case 0x01021997:
		return "9p"
	case 0x5346414f:
		return "AFS"
	case 0x00c36400:
		return "Ceph"
	case 0x0bd00bd0:
		return "Lustre"
	case 0x47504653:
		return "GPFS"
	case 0x786f4256:
		return "a VirtualBox share"
	}
	return ""
}

// local refuses a file (or, when there is none yet, a directory) on a file
// system that bbolt does not work on.
func local(path string, allowed bool) error {
	if allowed {
		return nil
	}
	var st syscall.Statfs_t
	err := syscall.Statfs(path, &st)
	if errors.Is(err, fs.ErrNotExist) {
		err = syscall.Statfs(filepath.Dir(path), &st)
	}
	if err != nil {
		return fmt.Errorf("ask which file system it is on: %w", err)
	}
	return refuse(remote(int64(st.Type))) //nolint:unconvert // it is an int32 on other platforms
}

func refuse(name string) error {
	if name == "" {
		return nil
	}
	return fmt.Errorf("it is on %s, where locks and the order of writes do not hold and a store may be corrupted; set store.path to a local disk, or store.network = true to take the risk", name)
}

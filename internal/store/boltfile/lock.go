package boltfile

import (
	"errors"
	"os"
	"syscall"

	bolterrors "go.etcd.io/bbolt/errors"
)

// free reports bbolt's ErrTimeout while another process has the lock that we
// shall need. It does not keep it: a check by another process comes between.
func free(path string, readOnly bool) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // and with it the lock
	how := syscall.LOCK_EX
	if readOnly {
		how = syscall.LOCK_SH
	}
	return flock(f, how)
}

// flock takes a lock now or not at all.
func flock(f *os.File, how int) error {
	err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return bolterrors.ErrTimeout
	}
	return err
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"basewatch/internal/store/bolt"
	"basewatch/internal/store/boltfile"
	"basewatch/internal/text"
)

func (c *cli) backupCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "backup FILE",
		Short: "Copies the store to FILE and checks the copy",
		Long: `Copies the store to FILE, while the daemon goes on, and reads the copy to the
end. Only a copy that is sound takes the name; a store that had it before is
replaced. To go back to a copy: stop the daemon, put the copy in the place of
the store, start it again.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return c.backup(cmd.Context(), args[0]) },
	}
}

// backedUp is what `backup -o json` prints.
type backedUp struct {
	File  string `json:"file"`
	Bytes int64  `json:"bytes"`
	bolt.Soundness
}

func (c *cli) backup(ctx context.Context, file string) error {
	if err := c.mayReplace(file); err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".part-*") // mode 0600
	if err != nil {
		return fmt.Errorf("backup: %w; name a file in a directory that this user may write to", err)
	}
	defer func() { _ = os.Remove(temp.Name()) }()
	err = c.copyStore(ctx, temp)
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	done := backedUp{File: file}
	if done.Soundness, err = checkStore(ctx, temp.Name()); err != nil {
		return fmt.Errorf("backup: the copy is not sound and was thrown away, the store itself may be damaged: %w", err)
	}
	info, err := os.Stat(temp.Name())
	if err != nil {
		return err
	}
	done.Bytes = info.Size()
	if err := boltfile.Rename(temp.Name(), file); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return c.printBackup(done)
}

// mayReplace refuses to write over what is no backup, and over the store
// itself.
func (c *cli) mayReplace(file string) error {
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > 0 && !boltfile.IsStore(file) {
		return usageError(fmt.Errorf("backup: %s exists and is no store; name another file", text.Plain(file, 200)))
	}
	cfg, err := loadConfig(loadOptions{File: c.configPath, Optional: true})
	if err != nil {
		return nil //nolint:nilerr // a daemon elsewhere needs no configuration here
	}
	if own, err := os.Stat(cfg.Store.Path); err == nil && os.SameFile(own, info) {
		return usageError(fmt.Errorf("backup: %s is the store itself; name another file", text.Plain(file, 200)))
	}
	return nil
}

// copyStore fetches a copy from the daemon, or makes one when none runs.
func (c *cli) copyStore(ctx context.Context, to *os.File) error {
	err := c.ask(ctx, daemonOnly, func(conn *connection) error {
		_, err := conn.Backup(ctx, to)
		return err
	})
	if err == nil || c.url != "" || exitCode(err) != exitUnreachable {
		return err
	}
	cfg, cfgErr := loadConfig(loadOptions{File: c.configPath, Optional: true})
	if cfgErr != nil {
		return cfgErr
	}
	if _, statErr := os.Stat(cfg.Store.Path); errors.Is(statErr, fs.ErrNotExist) {
		return err
	}
	o := storeOptions(cfg, slog.New(slog.DiscardHandler))
	o.ReadOnly = true
	store, openErr := bolt.Open(ctx, o)
	if errors.Is(openErr, bolt.ErrLocked) {
		return err // a daemon has it that does not answer us
	}
	if openErr != nil {
		return openErr
	}
	return errors.Join(store.Copy(ctx, to), store.Close())
}

func (c *cli) printBackup(b backedUp) error {
	if c.output == "json" {
		return json.NewEncoder(c.out).Encode(b)
	}
	fmt.Fprintf(c.out, "%s: %s, %s read back\n", text.Plain(b.File, 300), humanize.IBytes(uint64(b.Bytes)), noun(b.Values, "value")) // #nosec G115 -- a size
	if b.Damaged > 0 {
		fmt.Fprintf(c.err, "warning: %s damaged in the store and in the copy, such as %s\n", nouns(b.Damaged, "value is", "values are"), b.First)
	}
	return nil
}

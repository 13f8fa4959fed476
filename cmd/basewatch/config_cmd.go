package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"basewatch/watcher"
)

func (c *cli) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check the configuration, or show what is in force",
	}
	cmd.AddCommand(c.configCheckCommand(), c.configShowCommand())
	return cmd
}

func (c *cli) configCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check [FILE]",
		Short: "Say what is wrong with the configuration, and what it watches and tells",
		Long: `Reads the configuration as run would, with the environment, and prints every
error with its file, line, key and remedy. When there is none it prints what is
watched and what each route matches, and warns of what is likely not meant.
Nothing is asked of a registry or a receiver.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, a []string) error {
			o := loadOptions{File: c.configPath}
			if len(a) == 1 {
				o.File = a[0]
			}
			cfg, err := loadConfig(o)
			if err != nil {
				return err
			}
			if c.output == "json" {
				return printJSON(c.out, newConfigReport(cfg))
			}
			c.printReport(newConfigReport(cfg))
			return nil
		},
	}
}

func (c *cli) configShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "Print every setting in force and where it came from; secrets as ***",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := loadConfig(loadOptions{File: c.configPath})
			if err != nil {
				return err
			}
			if c.output == "json" {
				return printJSON(c.out, cfg.Listing)
			}
			fmt.Fprintf(c.out, "# %s (sha %s)\n", cfg.File, cfg.Sum)
			printListing(c.out, cfg.Listing)
			return nil
		},
	}
}

// configReport is what `config check` prints of a good configuration.
type configReport struct {
	File     string         `json:"file"`
	Sum      string         `json:"sum"`
	Watched  []watchReport  `json:"watched"`
	Families []familyReport `json:"families,omitempty"`
	Routes   []routeReport  `json:"routes"`
	Warnings []string       `json:"warnings"`
}

type watchReport struct {
	Host      string   `json:"host"`
	Images    int      `json:"images"`
	Platforms []string `json:"platforms"`
	Every     string   `json:"every"` // the shortest, and the longest if it differs
}

type familyReport struct {
	Family string `json:"family"` // python#3.x-slim
	Tags   string `json:"tags"`
	Keep   int    `json:"keep"`
	Every  string `json:"every"`
}

type routeReport struct {
	Route    string       `json:"route"`
	Place    string       `json:"place"`
	To       []string     `json:"to"`
	Patterns []globReport `json:"patterns"`
}

type globReport struct {
	Pattern string   `json:"pattern"`
	Images  []string `json:"images"`
}

func newConfigReport(cfg *Config) configReport {
	r := configReport{File: cfg.File, Sum: cfg.Sum, Watched: watchReports(cfg.Targets), Routes: []routeReport{}, Warnings: []string{}}
	for _, t := range cfg.Targets {
		if _, pattern, ok := watcher.SplitFamily(t.Ref); ok {
			r.Families = append(r.Families, familyReport{watcher.Short(t.Ref), pattern, t.Keep, Duration(t.Every).String()})
		}
	}
	r.Warnings = append(r.Warnings, cfg.Warnings...)
	r.Routes = append(r.Routes, cfg.routeReports...)
	return r
}

// watchReports sums up what is watched, by host.
func watchReports(targets []watcher.Target) []watchReport {
	type span struct {
		images      int
		platforms   []string
		least, most time.Duration
	}
	hosts, spans := []string{}, map[string]*span{}
	for _, t := range targets {
		host, _, _ := strings.Cut(t.Ref, "/")
		s := spans[host]
		if s == nil {
			s = &span{least: t.Every}
			spans[host], hosts = s, append(hosts, host)
		}
		if !t.IsFamily() {
			s.images++
		}
		s.platforms = sortedSet(append(s.platforms, t.Platforms...))
		s.least, s.most = min(s.least, t.Every), max(s.most, t.Every)
	}
	slices.Sort(hosts)
	reports := make([]watchReport, len(hosts))
	for i, host := range hosts {
		s := spans[host]
		every := Duration(s.least).String()
		if s.most != s.least {
			every += " to " + Duration(s.most).String()
		}
		reports[i] = watchReport{Host: host, Images: s.images, Platforms: s.platforms, Every: every}
	}
	return reports
}

// maxListedImages is how many images of a pattern the table names.
const maxListedImages = 3

func (c *cli) printReport(r configReport) {
	fmt.Fprintf(c.out, "%s (sha %s): no errors\n\n", r.File, r.Sum)
	t := newTable(c.out, "REGISTRY", "IMAGES", "PLATFORMS", "EVERY")
	for _, w := range r.Watched {
		t.row(w.Host, strconv.Itoa(w.Images), strings.Join(w.Platforms, " "), w.Every)
	}
	t.flush()
	if len(r.Families) > 0 {
		fmt.Fprintln(c.out)
		t = newTable(c.out, "FAMILY", "TAGS", "KEEP", "EVERY")
		for _, f := range r.Families {
			t.row(f.Family, f.Tags, "the newest "+strconv.Itoa(f.Keep), f.Every)
		}
		t.flush()
	}
	if len(r.Routes) > 0 {
		fmt.Fprintln(c.out)
		t = newTable(c.out, "ROUTE", "TO", "PATTERN", "MATCHES")
		for _, route := range r.Routes {
			c.routeRows(t, route)
		}
		t.flush()
	}
	if len(r.Warnings) > 0 {
		fmt.Fprintln(c.out)
	}
	for _, w := range r.Warnings {
		fmt.Fprintln(c.out, c.paint(yellow, "warning")+"  "+w)
	}
}

func (c *cli) routeRows(t *table, r routeReport) {
	name, to := r.Route+" ("+r.Place+")", strings.Join(r.To, " ")
	if len(r.Patterns) == 0 {
		t.row(name, to, "**", "every image")
	}
	for i, p := range r.Patterns {
		if i > 0 {
			name, to = " ", " "
		}
		t.row(name, to, p.Pattern, matchedImages(p.Images))
	}
}

func matchedImages(refs []string) string {
	short := make([]string, 0, maxListedImages)
	for _, ref := range refs[:min(len(refs), maxListedImages)] {
		short = append(short, watcher.Short(ref))
	}
	switch more := len(refs) - len(short); {
	case len(refs) == 0:
		return "nothing"
	case more > 0:
		return fmt.Sprintf("%s and %d more", strings.Join(short, " "), more)
	}
	return strings.Join(short, " ")
}

package tags

import (
	"strconv"
	"strings"
)

// released is the rank of what is no prerelease: above all of them.
const released = 100

// rankOf is the order of prerelease words; released for any other word. Only
// one meaning of a word counts, whatever its project has in mind: a milestone
// comes before a preview.
func rankOf(word string) int {
	switch strings.ToLower(word) {
	case "dev", "nightly", "snapshot":
		return 1
	case "a", "alpha":
		return 2
	case "b", "beta":
		return 3
	case "ea", "m", "milestone":
		return 4
	case "pre", "preview":
		return 5
	case "c", "cr", "rc":
		return 6
	}
	return released
}

// anyCodename is the word that stands for any codename in a pattern.
const anyCodename = "codename"

// The codenames of each distribution and the release that each names.
const (
	debian = " squeeze=600 wheezy=700 jessie=800 stretch=900 buster=1000 bullseye=1100 bookworm=1200 trixie=1300" +
		" forky=1400 duke=1500 "
	ubuntu = " precise=1204 trusty=1404 utopic=1410 vivid=1504 wily=1510 xenial=1604 yakkety=1610 zesty=1704" +
		" artful=1710 bionic=1804 cosmic=1810 disco=1904 eoan=1910 focal=2004 groovy=2010 hirsute=2104 impish=2110" +
		" jammy=2204 kinetic=2210 lunar=2304 mantic=2310 noble=2404 oracular=2410 plucky=2504 questing=2510" +
		" resolute=2604 "
	node = " argon=400 boron=600 carbon=800 dubnium=1000 erbium=1200 fermium=1400 gallium=1600 hydrogen=1800" +
		" iron=2000 jod=2200 krypton=2400 "
)

// codename says whose codename a word is, and the release that it names; empty
// when it is none. New ones are added above when they are announced: a codename
// that is not known has no order, and matches no pattern.
func codename(word string) (distribution string, release uint64) {
	if word == "" {
		return "", 0
	}
	for _, d := range []struct{ name, words string }{{"debian", debian}, {"ubuntu", ubuntu}, {"node", node}} {
		if _, after, ok := strings.Cut(d.words, " "+word+"="); ok {
			n, _, _ := strings.Cut(after, " ")
			release, _ = strconv.ParseUint(n, 10, 64)
			return d.name, release
		}
	}
	return "", 0
}

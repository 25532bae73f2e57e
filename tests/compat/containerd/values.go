// Reads what people type with distribution's and containerd's own packages: a line in, a line out.
package main

import (
	"bufio"
	_ "crypto/sha256" // go-digest knows only the algorithms that are linked in
	_ "crypto/sha512"
	"encoding/json"
	"os"
	"sort"

	"github.com/containerd/containerd/platforms"
	"github.com/containerd/containerd/reference/docker"
	specs "github.com/opencontainers/image-spec/specs-go/v1"
)

type question struct {
	Kind       string
	Text       string
	Candidates []string
}

// reference answers host, repository, tag and digest; nil if it is none.
func reference(text string) []string {
	named, err := docker.ParseNormalizedNamed(text)
	if err != nil {
		return nil
	}
	answer := []string{docker.Domain(named), docker.Path(named), "", ""}
	if digested, ok := named.(docker.Digested); ok {
		answer[3] = digested.Digest().String()
	} else {
		named = docker.TagNameOnly(named)
	}
	if tagged, ok := named.(docker.Tagged); ok {
		answer[2] = tagged.Tag()
	}
	return answer
}

// platform answers operating system, architecture and variant; nil if it is none.
func platform(text string) []string {
	parsed, err := platforms.Parse(text)
	if err != nil {
		return nil
	}
	parsed = platforms.Normalize(parsed)
	return []string{parsed.OS, parsed.Architecture, parsed.Variant}
}

// served answers the candidates that a machine runs, the best first.
func served(machine string, candidates []string) []string {
	comparer := platforms.Only(platforms.MustParse(machine))
	matching := []specs.Platform{}
	texts := map[string]string{}
	for _, candidate := range candidates {
		parsed := platforms.Normalize(platforms.MustParse(candidate))
		if comparer.Match(parsed) {
			matching = append(matching, parsed)
			texts[platforms.Format(parsed)] = candidate
		}
	}
	sort.SliceStable(matching, func(i, j int) bool { return comparer.Less(matching[i], matching[j]) })
	answer := []string{}
	for _, each := range matching {
		answer = append(answer, texts[platforms.Format(each)])
	}
	return answer
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	answers := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var asked question
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			panic(err)
		}
		var answer []string
		switch asked.Kind {
		case "reference":
			answer = reference(asked.Text)
		case "platform":
			answer = platform(asked.Text)
		case "served":
			answer = served(asked.Text, asked.Candidates)
		}
		if err := answers.Encode(answer); err != nil {
			panic(err)
		}
	}
}

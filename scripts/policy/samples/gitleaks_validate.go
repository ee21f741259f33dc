// Replaces cmd/generate/config/utils/validate.go of a local copy of gitleaks (`go run -overlay`): prints the samples of
// each rule instead of checking the rule with them.
package utils

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"

	"github.com/zricethezav/gitleaks/v8/config"
	"github.com/zricethezav/gitleaks/v8/detect"
)

// Environment variable with the name of a file of JSON strings, one per line. If set, prints which of all rules match
// each text, and exits.
const textsVariable = "PEER_TEXTS"

func init() {
	path := os.Getenv(textsVariable)
	if path == "" {
		return
	}
	file, err := os.Open(path)
	if err != nil {
		panic(err)
	}
	detector, err := detect.NewDetectorDefaultConfig()
	if err != nil {
		panic(err)
	}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 16<<20)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var text string
		if err := json.Unmarshal(lines.Bytes(), &text); err != nil {
			panic(err)
		}
		rules := []string{}
		for _, found := range detector.DetectString(text) {
			rules = append(rules, found.RuleID)
		}
		if err := out.Encode(rules); err != nil {
			panic(err)
		}
	}
	os.Exit(0)
}

type sample struct {
	Rule  string   `json:"rule"`
	Name  string   `json:"name"`
	Text  string   `json:"text"`
	Want  []string `json:"want"`
	Words bool     `json:"words"`
}

func show(rule config.Rule, name, text string, positive bool) {
	want := []string{}
	if positive {
		want = append(want, "")
	}
	// The output of GenerateSemiGenericRegex starts with the vendor's name in front of the secret.
	words := rule.Regex != nil && strings.Contains(rule.Regex.String(), `[\w.-]{0,50}?(?`)
	if err := json.NewEncoder(os.Stdout).Encode(sample{rule.RuleID, name, text, want, words}); err != nil {
		panic(err)
	}
}

func Validate(rule config.Rule, truePositives []string, falsePositives []string) *config.Rule {
	for _, text := range truePositives {
		show(rule, "", text, true)
	}
	for _, text := range falsePositives {
		show(rule, "", text, false)
	}
	return &rule
}

func ValidateWithPaths(rule config.Rule, truePositives map[string]string, falsePositives map[string]string) *config.Rule {
	for path, text := range truePositives {
		show(rule, path, text, true)
	}
	for path, text := range falsePositives {
		show(rule, path, text, false)
	}
	return &rule
}

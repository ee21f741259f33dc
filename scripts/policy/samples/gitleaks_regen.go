// Replaces cmd/generate/secrets/regen.go of a local copy of gitleaks: generates the same secrets at every run.
package secrets

import "github.com/lucasjones/reggen"

const seed = 2026

func NewSecret(regex string) string {
	generator, err := reggen.NewGenerator(regex)
	if err != nil {
		panic(err)
	}
	generator.SetSeed(seed)
	return generator.Generate(1)
}

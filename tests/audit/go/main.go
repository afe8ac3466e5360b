// Command main judges a log's evidence with golang.org/x/mod/sumdb, which shares no code with Countersign.
//
// It reads one JSON object from standard input and writes one line for each question: "ok", or what is wrong.
package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// question is about one checkpoint. With a body it asks for inclusion, with an older root for consistency.
type question struct {
	Key   string   // verifier key
	Note  string   // signed note of the checkpoint
	Body  string   // the entry at Index
	Index int64    //
	Old   string   // root in hex of the first Size entries
	Size  int64    //
	Proof []string // hashes in hex
}

func main() {
	var questions []question
	if err := json.NewDecoder(os.Stdin).Decode(&questions); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	for _, each := range questions {
		if err := judge(each); err != nil {
			fmt.Println(strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Println("ok")
		}
	}
}

func judge(asked question) error {
	verifier, err := note.NewVerifier(asked.Key)
	if err != nil {
		return err
	}
	opened, err := note.Open([]byte(asked.Note), note.VerifierList(verifier))
	if err != nil {
		return err
	}
	size, root, err := checkpoint(opened.Text)
	if err != nil {
		return err
	}
	var proof []tlog.Hash
	for _, text := range asked.Proof {
		hash, err := unhex(text)
		if err != nil {
			return err
		}
		proof = append(proof, hash)
	}
	if asked.Old != "" {
		old, err := unhex(asked.Old)
		if err != nil {
			return err
		}
		return tlog.CheckTree(proof, size, root, asked.Size, old)
	}
	return tlog.CheckRecord(proof, size, root, asked.Index, tlog.RecordHash([]byte(asked.Body)))
}

// checkpoint reads origin, size and root.
func checkpoint(text string) (int64, tlog.Hash, error) {
	lines := strings.SplitN(text, "\n", 4)
	if len(lines) < 4 {
		return 0, tlog.Hash{}, fmt.Errorf("no checkpoint")
	}
	var size int64
	if _, err := fmt.Sscanf(lines[1], "%d", &size); err != nil {
		return 0, tlog.Hash{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return size, root, err
}

func unhex(text string) (tlog.Hash, error) {
	var hash tlog.Hash
	raw, err := hex.DecodeString(text)
	if err == nil && len(raw) != len(hash) {
		err = fmt.Errorf("a hash of %d bytes", len(raw))
	}
	copy(hash[:], raw)
	return hash, err
}

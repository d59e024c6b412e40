// Chains of F3 finality certificates, valid and altered, with go-f3's verdict on each.
//
//	f3 SEED FIRST COUNT
//
// writes a line of JSON per chain. The same arguments give the same lines. Every chain is made by go-f3: power tables,
// deltas, CIDs, signed bytes, aggregates and encodings are its own. A chain's number selects its alteration.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"strconv"

	"github.com/filecoin-project/go-f3/blssig"
	"github.com/filecoin-project/go-f3/certs"
	"github.com/filecoin-project/go-f3/gpbft"
)

// chainCase is an input and the verdict on it. JSON is go-f3's JSON of the certificates, if each could be decoded.
type chainCase struct {
	Number     int                `json:"number"`
	Alteration string             `json:"alteration"`
	Network    string             `json:"network"`
	Instance   uint64             `json:"instance"`
	Table      gpbft.PowerEntries `json:"table"`
	Base       *gpbft.TipSet      `json:"base"`
	CBOR       [][]byte           `json:"cbor"`
	JSON       json.RawMessage    `json:"json"`
	Error      string             `json:"error"`
	Next       uint64             `json:"next"`
	NextTable  string             `json:"nextTable"`
}

func main() {
	if len(os.Args) != 4 {
		fail(fmt.Errorf("usage: f3 SEED FIRST COUNT"))
	}
	var numbers [3]int
	for i := range numbers {
		number, err := strconv.Atoi(os.Args[i+1])
		fail(err)
		numbers[i] = number
	}
	out := bufio.NewWriter(os.Stdout)
	encoder := json.NewEncoder(out)
	verifier := blssig.VerifierWithKeyOnG1()
	for number := numbers[1]; number < numbers[1]+numbers[2]; number++ {
		random := rand.New(rand.NewSource(int64(numbers[0])<<32 + int64(number)))
		made := newCase(random, number)
		judge(verifier, made)
		fail(encoder.Encode(made))
	}
	fail(out.Flush())
}

// judge decodes the certificates of a case and validates them.
func judge(verifier gpbft.Verifier, made *chainCase) {
	decoded := make([]*certs.FinalityCertificate, 0, len(made.CBOR))
	for _, data := range made.CBOR {
		var one certs.FinalityCertificate
		reader := bytes.NewReader(data)
		if err := one.UnmarshalCBOR(reader); err != nil {
			made.Error = "decoding: " + err.Error()
			return
		}
		if reader.Len() > 0 {
			made.Error = "decoding: bytes follow the certificate"
			return
		}
		decoded = append(decoded, &one)
	}
	if text, err := json.Marshal(decoded); err == nil {
		made.JSON = text
	}
	network := gpbft.NetworkName(made.Network)
	next, _, table, err := certs.ValidateFinalityCertificates(verifier, network, made.Table, made.Instance, made.Base, decoded...)
	if err != nil {
		made.Error = err.Error()
		return
	}
	cid, err := certs.MakePowerTableCID(table)
	fail(err)
	made.Next, made.NextTable = next, cid.String()
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

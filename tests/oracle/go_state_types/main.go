// The JSON and CBOR forms of the built-in actors' parameters, return values and states in Go.
//
//	go_state_types TABLE RECORDS
//
// writes the table of types that localnet/rpc/lotus_types.py reads, and the answers of go-state-types to sample values
// of each type, which the tests compare. `make lotus-types` runs it; actors.go.tmpl is compiled once per actors version.
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-bitfield"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/builtin"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/ipfs/go-cid"
	cbg "github.com/whyrusleeping/cbor-gen"

	"go_state_types/market"
	"go_state_types/reward"
)

// actor is an actor of one version; linked has types of blocks that its state links to.
type actor struct {
	name    string
	methods map[abi.MethodNum]builtin.MethodMeta
	state   any
	linked  []any
}

var versions = map[int][]actor{}

// lineEnds matches the ends of structs, methods and entries, for a table of short lines.
var lineEnds = regexp.MustCompile(`([\]}],|:{)(")`)

var names = regexp.MustCompile(`"\w+":`)

var leaves = map[reflect.Type]string{
	reflect.TypeFor[address.Address]():          "address",
	reflect.TypeFor[big.Int]():                  "bigint",
	reflect.TypeFor[cid.Cid]():                  "cid",
	reflect.TypeFor[cbg.CborCid]():              "cborcid",
	reflect.TypeFor[bitfield.BitField]():        "bitfield",
	reflect.TypeFor[crypto.Signature]():         "signature",
	reflect.TypeFor[abi.EmptyValue]():           "empty",
	reflect.TypeFor[abi.CborBytesTransparent](): "raw",
}

// table is the file that the product reads. Types are in Go's syntax: basic types, leaves, "*T", "[]T", "[N]T", or the
// name of a struct. A field without a name is embedded, and JSON omits the field "-". The entry of an actor is valid
// from its version until the next entry; it maps method numbers to name, parameters and return value, and other names to
// types of the state.
type table struct {
	Transparent []string                          `json:"transparent"` // structs in the CBOR form of their only field
	Structs     map[string][][2]string            `json:"structs"`
	Actors      map[string]map[int]map[string]any `json:"actors"`
	names       map[string][]string               // the names of the forms of a struct, by its name in Go
}

// typeName returns the name of a type, and adds the structs it contains to the table.
func (t *table) typeName(of reflect.Type, version int) string {
	if name, ok := leaves[of]; ok {
		return name
	}
	switch of.Kind() {
	case reflect.Pointer:
		return "*" + t.typeName(of.Elem(), version)
	case reflect.Array:
		return fmt.Sprintf("[%d]%s", of.Len(), t.typeName(of.Elem(), version))
	case reflect.Slice:
		return "[]" + t.typeName(of.Elem(), version)
	case reflect.Struct:
		return t.structName(of, version)
	case reflect.Map, reflect.Interface, reflect.Func, reflect.Chan:
		panic(fmt.Sprintf("%s: the table has no form for it", of))
	}
	return of.Kind().String()
}

func (t *table) structName(of reflect.Type, version int) string {
	if of.Name() == "DealLabel" {
		return "label"
	}
	var fields [][2]string
	for i := range of.NumField() {
		field := of.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !field.IsExported() || strings.Contains(field.Tag.Get("json"), ",") {
			panic(fmt.Sprintf("%s.%s: the table has no form for it", of, field.Name))
		}
		if name == "" && !field.Anonymous {
			name = field.Name
		}
		fields = append(fields, [2]string{name, t.typeName(field.Type, version)})
	}
	base := of.String()
	if isTransparent(of) && !slices.Contains(t.Transparent, base) {
		t.Transparent = append(t.Transparent, base)
	}
	for _, name := range t.names[base] {
		if reflect.DeepEqual(t.Structs[name], fields) {
			return name
		}
	}
	name := base
	if len(t.names[base]) > 0 {
		name = fmt.Sprintf("%s.v%d", base, version)
	}
	if _, taken := t.Structs[name]; taken {
		panic(name + " has two forms in a version")
	}
	t.names[base] = append(t.names[base], name)
	t.Structs[name] = fields
	return name
}

// isTransparent returns true if a struct's CBOR is not an array of its fields.
func isTransparent(of reflect.Type) bool {
	value := reflect.New(of)
	made, ok := value.Interface().(cbg.CBORMarshaler)
	if !ok {
		return false
	}
	(&filler{}).fill(value.Elem(), 1)
	var encoded bytes.Buffer
	fail(made.MarshalCBOR(&encoded))
	if encoded.Bytes()[0] == 0x80+byte(of.NumField()) {
		return false
	}
	if of.NumField() != 1 {
		panic(fmt.Sprintf("%s: the table has no form for it", of))
	}
	return true
}

// record is a sample of a type, with the versions, actors and methods that have it.
type record struct {
	Type  string          `json:"type"`
	Of    []string        `json:"of"`
	JSON  json.RawMessage `json:"json"`
	CBOR  string          `json:"cbor"`
	Error string          `json:"error,omitempty"`
	Reads []read          `json:"reads,omitempty"`
}

// read is JSON for a type, and its CBOR; none if Go refuses it.
type read struct {
	JSON json.RawMessage `json:"json"`
	CBOR string          `json:"cbor"`
}

func main() {
	if len(os.Args) != 3 {
		fail(fmt.Errorf("usage: go_state_types TABLE RECORDS"))
	}
	address.CurrentNetwork = address.Testnet
	for i := range versions[19] {
		switch each := &versions[19][i]; each.name {
		case "reward":
			each.state, each.methods = &reward.State{}, reward.Added(each.methods)
		case "storagemarket":
			each.state = &market.State{}
		}
	}
	types := &table{
		Structs: map[string][][2]string{},
		Actors:  map[string]map[int]map[string]any{},
		names:   map[string][]string{},
	}
	records := map[string]*record{}
	add := func(of string, version int, value reflect.Type) string {
		name := types.typeName(value.Elem(), version)
		for mode := range 3 {
			made := sample(value.Elem(), mode)
			made.Type = name
			key := fmt.Sprint(name, string(made.JSON), made.CBOR, made.Error)
			if records[key] == nil {
				records[key] = &made
			}
			if !slices.Contains(records[key].Of, of) {
				records[key].Of = append(records[key].Of, of)
			}
		}
		return name
	}
	before := map[string]map[string]any{}
	for _, version := range slices.Sorted(maps.Keys(versions)) {
		for _, each := range versions[version] {
			entry := map[string]any{}
			of := func(what string) string { return fmt.Sprintf("%d %s %s", version, each.name, what) }
			if each.state != nil {
				entry["State"] = add(of("State"), version, reflect.TypeOf(each.state))
			}
			for _, linked := range each.linked {
				kind := reflect.TypeOf(linked)
				entry[kind.Elem().Name()] = add(of(kind.Elem().Name()), version, kind)
			}
			for _, number := range slices.Sorted(maps.Keys(each.methods)) {
				kind := reflect.TypeOf(each.methods[number].Method)
				if kind == nil {
					continue
				}
				entry[fmt.Sprint(number)] = []string{
					each.methods[number].Name,
					add(of(fmt.Sprint(number, " params")), version, kind.In(0)),
					add(of(fmt.Sprint(number, " return")), version, kind.Out(0)),
				}
			}
			if types.Actors[each.name] == nil {
				types.Actors[each.name] = map[int]map[string]any{}
			}
			if !reflect.DeepEqual(before[each.name], entry) {
				types.Actors[each.name][version] = entry
				before[each.name] = entry
			}
		}
	}
	text, err := json.Marshal(types)
	fail(err)
	lines := lineEnds.ReplaceAll(text, []byte("$1\n$2"))
	fail(os.WriteFile(os.Args[1], append(lines, '\n'), 0o644))
	fail(writeRecords(os.Args[2], records))
}

func writeRecords(path string, records map[string]*record) error {
	var sorted []*record
	for _, key := range slices.Sorted(maps.Keys(records)) {
		sorted = append(sorted, records[key])
	}
	var out bytes.Buffer
	packed := gzip.NewWriter(&out)
	if err := json.NewEncoder(packed).Encode(sorted); err != nil {
		return err
	}
	if err := packed.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, out.Bytes(), 0o644)
}

// sample fills a value of a type, encodes it, and returns the JSON of the decoded bytes.
func sample(of reflect.Type, mode int) (made record) {
	defer func() {
		if panicked := recover(); panicked != nil {
			made.Error = fmt.Sprint(panicked)
		}
	}()
	value := reflect.New(of)
	made.JSON = []byte("{}")
	if of == reflect.TypeFor[abi.EmptyValue]() {
		return
	}
	(&filler{mode: mode}).fill(value.Elem(), 1)
	text, err := json.Marshal(value.Interface())
	fail(err)
	made.JSON = text
	var encoded bytes.Buffer
	if err := value.Interface().(cbg.CBORMarshaler).MarshalCBOR(&encoded); err != nil {
		made.Error = err.Error()
		return
	}
	decoded := reflect.New(of)
	if err := decoded.Interface().(cbg.CBORUnmarshaler).UnmarshalCBOR(bytes.NewReader(encoded.Bytes())); err != nil {
		made.Error = err.Error()
		return
	}
	text, err = json.Marshal(decoded.Interface())
	fail(err)
	made.JSON, made.CBOR = text, hex.EncodeToString(encoded.Bytes())
	if mode == 1 {
		made.Reads = reads(of, text)
	}
	return
}

// reads returns what Go reads from a struct's JSON with names in lower case, with unknown fields only, and without each
// field or with null for it.
func reads(of reflect.Type, text []byte) (made []read) {
	var fields map[string]json.RawMessage
	if of.Kind() != reflect.Struct || json.Unmarshal(text, &fields) != nil {
		return
	}
	add := func(input any) {
		text, err := json.Marshal(input)
		fail(err)
		value, encoded := reflect.New(of).Interface(), bytes.Buffer{}
		if json.Unmarshal(text, value) != nil || value.(cbg.CBORMarshaler).MarshalCBOR(&encoded) != nil {
			encoded.Reset()
		}
		made = append(made, read{text, hex.EncodeToString(encoded.Bytes())})
	}
	add(json.RawMessage(names.ReplaceAllFunc(text, bytes.ToLower)))
	add(map[string]any{"Unknown": 1})
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		other := maps.Clone(fields)
		other[name] = json.RawMessage("null")
		add(other)
		delete(other, name)
		add(other)
	}
	return
}

// filler sets the fields of a value. Mode 0 sets all of them, mode 1 omits inner pointers and lists, and mode 2 uses
// zeros and empty lists.
type filler struct {
	mode, count int
}

const sampleCid = "bafy2bzacecu7n7wbtogznrtuuvf73dsz7wasgyneqasksdblxupnyovmtwxxu"

func (f *filler) fill(value reflect.Value, depth int) {
	f.count++
	switch of := value.Type(); leaves[of] {
	case "address":
		made, err := address.NewIDAddress(uint64(1000 + f.count))
		fail(err)
		value.Set(reflect.ValueOf(made))
		return
	case "bigint":
		number := []int64{1000000007 * int64(f.count), -int64(f.count), 0}[f.mode]
		value.Set(reflect.ValueOf(big.NewInt(number)))
		return
	case "cid", "cborcid":
		made, err := cid.Decode(sampleCid)
		fail(err)
		value.Set(reflect.ValueOf(made).Convert(of))
		return
	case "bitfield":
		numbers := [][]uint64{{1, 2, uint64(5 + f.count%20)}, {0, 7, 8, 9, 100, 70_000}, {}}[f.mode]
		value.Set(reflect.ValueOf(bitfield.NewFromSet(numbers)))
		return
	case "signature":
		data := [][]byte{{1, 2, byte(f.count)}, {7}, {0}}[f.mode]
		value.Set(reflect.ValueOf(crypto.Signature{Type: crypto.SigType(1 + f.mode), Data: data}))
		return
	}
	f.fillKind(value, depth)
}

func (f *filler) fillKind(value reflect.Value, depth int) {
	of := value.Type()
	switch of.Kind() {
	case reflect.Pointer:
		if f.mode == 1 && depth > 1 {
			return
		}
		value.Set(reflect.New(of.Elem()))
		f.fill(value.Elem(), depth+1)
	case reflect.Struct:
		if of.Name() == "DealLabel" {
			text, err := json.Marshal(fmt.Sprintf("label <%d> ü", f.count))
			fail(err)
			fail(value.Addr().Interface().(json.Unmarshaler).UnmarshalJSON(text))
			return
		}
		for i := range of.NumField() {
			f.fill(value.Field(i), depth+1)
		}
	case reflect.Slice:
		if f.mode == 1 && depth > 2 {
			return
		}
		value.Set(reflect.MakeSlice(of, 2-f.mode, 2-f.mode))
		for i := range value.Len() {
			f.fill(value.Index(i), depth+1)
		}
	case reflect.Array:
		for i := range of.Len() {
			f.fill(value.Index(i), depth+1)
		}
	case reflect.Int64:
		value.SetInt([]int64{int64(f.count), -int64(f.count), 1 << 62}[f.mode])
	case reflect.Uint64:
		value.SetUint([]uint64{uint64(f.count), 0, 1<<64 - 1}[f.mode])
	case reflect.Uint8:
		value.SetUint(uint64(f.count % 256))
	case reflect.Bool:
		value.SetBool(f.mode != 2)
	case reflect.String:
		value.SetString(fmt.Sprintf("s%d", f.count))
	case reflect.Uint32, reflect.Int32, reflect.Uint16:
		panic(fmt.Sprintf("%s: no sample", of))
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

package main

import (
	"bytes"
	"math/big"
	"math/rand"
	"slices"
	"sort"

	"github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/filecoin-project/go-bitfield"
	"github.com/filecoin-project/go-f3/blssig"
	"github.com/filecoin-project/go-f3/certs"
	"github.com/filecoin-project/go-f3/gpbft"
	fbig "github.com/filecoin-project/go-state-types/big"
)

var domain = []byte("BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_NUL_")

// draft is a certificate before it is signed; alterations change it.
type draft struct {
	cert    certs.FinalityCertificate
	table   gpbft.PowerEntries // of this instance
	next    gpbft.PowerEntries
	signers []int
	network gpbft.NetworkName // that is signed
	phase   gpbft.Phase
	round   uint64
	keepCid bool // do not compute the CID of the next table again
	plain   bool // add the signatures up without weights
	changed func(*draft)
}

type maker struct {
	*rand.Rand
	secrets map[string]*big.Int
}

func newCase(random *rand.Rand, number int) *chainCase {
	m := &maker{random, map[string]*big.Int{}}
	made := &chainCase{Number: number, Network: "f3-" + string(rune('a'+m.Intn(26))), Instance: uint64(m.Intn(1000))}
	made.Table = m.newTable(1 + m.Intn(9))
	tip := m.tipset(int64(m.Intn(1000)))
	if m.Intn(4) > 0 {
		made.Base = tip
	}
	alteration := alterations[number%len(alterations)]
	made.Alteration = alteration.name
	count := 1 + m.Intn(4)
	at := m.Intn(count)
	table := made.Table
	drafts := make([]*draft, count)
	for i := range drafts {
		drafts[i] = m.draft(made, table, tip, made.Instance+uint64(i))
		if i == at && alteration.draft != nil {
			alteration.draft(m, drafts[i])
		}
		m.sign(drafts[i])
		table = drafts[i].next
		tip = drafts[i].cert.ECChain.Head()
		if tip == nil {
			tip = m.tipset(5000)
		}
		if len(table) == 0 {
			drafts = drafts[:i+1]
			break
		}
	}
	for _, one := range drafts {
		var buffer bytes.Buffer
		fail(one.cert.MarshalCBOR(&buffer))
		made.CBOR = append(made.CBOR, buffer.Bytes())
	}
	if alteration.after != nil {
		alteration.after(m, made, at)
	}
	return made
}

func (m *maker) newKey() gpbft.PubKey {
	secret := new(big.Int).SetBytes(m.bytes(31))
	secret.Add(secret, big.NewInt(1))
	_, _, generator, _ := bls12381.Generators()
	var public bls12381.G1Affine
	public.ScalarMultiplication(&generator, secret)
	key := public.Bytes()
	m.secrets[string(key[:])] = secret
	return key[:]
}

func (m *maker) newTable(size int) gpbft.PowerEntries {
	table := make(gpbft.PowerEntries, 0, size)
	for i := range size {
		power := fbig.NewInt(1 + m.Int63n(1<<20))
		if m.Intn(4) == 0 {
			power = fbig.Mul(power, fbig.NewInt(1<<40)) // the others then have little or no scaled power
		}
		table = append(table, gpbft.PowerEntry{ID: gpbft.ActorID(1000 + i*7), Power: power, PubKey: m.newKey()})
	}
	sort.Sort(table)
	return table
}

func (m *maker) tipset(epoch int64) *gpbft.TipSet {
	tipset := &gpbft.TipSet{Epoch: epoch, PowerTable: gpbft.MakeCid(m.bytes(8))}
	for range 1 + m.Intn(5) {
		tipset.Key = append(tipset.Key, gpbft.MakeCid(m.bytes(8)).Bytes()...)
	}
	copy(tipset.Commitments[:], m.bytes(32))
	return tipset
}

// draft returns a valid certificate for an instance that starts at a tipset.
func (m *maker) draft(made *chainCase, table gpbft.PowerEntries, base *gpbft.TipSet, instance uint64) *draft {
	chain := &gpbft.ECChain{TipSets: []*gpbft.TipSet{base}}
	for epoch := base.Epoch; m.Intn(3) > 0; {
		epoch += 1 + int64(m.Intn(3))
		chain.TipSets = append(chain.TipSets, m.tipset(epoch))
	}
	made1 := &draft{table: table, network: gpbft.NetworkName(made.Network), phase: gpbft.DECIDE_PHASE}
	made1.next = m.changed(table)
	made1.cert = certs.FinalityCertificate{GPBFTInstance: instance, ECChain: chain}
	copy(made1.cert.SupplementalData.Commitments[:], m.bytes(32))
	made1.cert.PowerTableDelta = certs.MakePowerTableDiff(table, made1.next)
	made1.signers = m.quorum(table)
	return made1
}

// changed returns a table after some participants came, went, or changed.
func (m *maker) changed(table gpbft.PowerEntries) gpbft.PowerEntries {
	next := slices.Clone(table)
	for range m.Intn(4) {
		at := m.Intn(len(next))
		switch m.Intn(4) {
		case 0:
			if len(next) > 1 {
				next = slices.Delete(next, at, at+1)
			}
		case 1:
			next[at].Power = fbig.NewInt(1 + m.Int63n(1<<20))
		case 2:
			next[at].PubKey = m.newKey()
		default:
			id := gpbft.ActorID(3000 + m.Intn(100000))
			next = append(next, gpbft.PowerEntry{ID: id, Power: fbig.NewInt(1 + m.Int63n(1<<20)), PubKey: m.newKey()})
		}
	}
	sort.Sort(next)
	return next
}

// quorum returns the positions of random signers with enough power.
func (m *maker) quorum(table gpbft.PowerEntries) []int {
	scaled, total, err := table.Scaled()
	fail(err)
	var signers []int
	var power int64
	for _, at := range m.Perm(len(table)) {
		if gpbft.IsStrongQuorum(power, total) && m.Intn(2) == 0 {
			break
		}
		if scaled[at] > 0 {
			signers = append(signers, at)
			power += scaled[at]
		}
	}
	slices.Sort(signers)
	return signers
}

// sign completes a certificate: the CID of the next table, signers and signature.
func (m *maker) sign(one *draft) {
	if !one.keepCid {
		if table, err := certs.ApplyPowerTableDiffs(one.table, one.cert.PowerTableDelta); err == nil {
			one.next = table
		} else {
			one.next = applied(one.table, one.cert.PowerTableDelta)
		}
		cid, err := certs.MakePowerTableCID(one.next)
		fail(err)
		one.cert.SupplementalData.PowerTable = cid
	}
	if one.cert.Signature == nil {
		one.cert.Signature = m.signature(one)
	}
	marked := make([]uint64, len(one.signers))
	for i, at := range one.signers {
		marked[i] = uint64(at)
	}
	one.cert.Signers = bitfield.NewFromSet(marked)
	if one.changed != nil {
		one.changed(one)
	}
}

// applied returns the table after deltas that break a rule, so that only this rule refuses them.
func applied(table gpbft.PowerEntries, deltas certs.PowerTableDiff) gpbft.PowerEntries {
	entries := certs.PowerTableArrayToMap(table)
	for _, delta := range deltas {
		entry, known := entries[delta.ParticipantID]
		if !known {
			entry = gpbft.PowerEntry{ID: delta.ParticipantID, Power: fbig.Zero()}
		}
		entry.Power = fbig.Add(entry.Power, delta.PowerDelta)
		if len(delta.SigningKey) > 0 {
			entry.PubKey = delta.SigningKey
		}
		entries[delta.ParticipantID] = entry
		if entry.Power.Sign() <= 0 {
			delete(entries, delta.ParticipantID)
		}
	}
	return certs.PowerTableMapToArray(entries)
}

func (m *maker) signature(one *draft) []byte {
	vote := gpbft.Payload{
		Instance:         one.cert.GPBFTInstance,
		Round:            one.round,
		Phase:            one.phase,
		SupplementalData: one.cert.SupplementalData,
		Value:            one.cert.ECChain,
	}
	hashed, err := bls12381.HashToG2(vote.MarshalForSigning(one.network), domain)
	fail(err)
	var mask []int
	var signatures [][]byte
	var sum bls12381.G2Jac
	for _, at := range one.signers {
		if at >= len(one.table) || m.secrets[string(one.table[at].PubKey)] == nil {
			continue
		}
		var signature bls12381.G2Affine
		signature.ScalarMultiplication(&hashed, m.secrets[string(one.table[at].PubKey)])
		sum.AddMixed(&signature)
		data := signature.Bytes()
		mask, signatures = append(mask, at), append(signatures, data[:])
	}
	if aggregate, err := blssig.VerifierWithKeyOnG1().Aggregate(one.table.PublicKeys()); err == nil && !one.plain {
		data, err := aggregate.Aggregate(mask, signatures)
		fail(err)
		return data
	}
	var affine bls12381.G2Affine
	data := affine.FromJacobian(&sum).Bytes()
	return data[:]
}

func (m *maker) bytes(length int) []byte {
	data := make([]byte, length)
	m.Read(data)
	return data
}

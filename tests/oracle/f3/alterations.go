package main

import (
	"slices"

	"github.com/filecoin-project/go-f3/certs"
	"github.com/filecoin-project/go-f3/gpbft"
	fbig "github.com/filecoin-project/go-state-types/big"
)

// alteration changes a certificate before it is signed, or the encoded chain.
type alteration struct {
	name  string
	draft func(*maker, *draft)
	after func(*maker, *chainCase, int)
}

var alterations = []alteration{
	{name: "none"},
	{name: "instance", draft: func(m *maker, one *draft) { one.cert.GPBFTInstance += uint64(1 + m.Intn(3)) }},
	{name: "network", draft: func(_ *maker, one *draft) { one.network += "x" }},
	{name: "phase", draft: func(m *maker, one *draft) { one.phase = gpbft.Phase(m.Intn(5)) }},
	{name: "round", draft: func(_ *maker, one *draft) { one.round = 1 }},
	{name: "no tipset", draft: func(_ *maker, one *draft) { one.cert.ECChain = &gpbft.ECChain{} }},
	{name: "other base", draft: func(m *maker, one *draft) {
		base := *one.cert.ECChain.TipSets[0]
		base.Commitments[m.Intn(32)] ^= 1
		one.cert.ECChain.TipSets[0] = &base
	}},
	{name: "epochs", draft: func(m *maker, one *draft) {
		head := one.cert.ECChain.Head()
		one.cert.ECChain.TipSets = append(one.cert.ECChain.TipSets, m.tipset(head.Epoch-int64(m.Intn(2))))
	}},
	{name: "negative epoch", draft: func(m *maker, one *draft) {
		one.cert.ECChain.TipSets[0] = m.tipset(-1 - int64(m.Intn(9)))
	}},
	{name: "empty key", draft: func(m *maker, one *draft) {
		tipset := m.tipset(one.cert.ECChain.Head().Epoch + 1)
		tipset.Key = nil
		one.cert.ECChain.TipSets = append(one.cert.ECChain.TipSets, tipset)
	}},
	{name: "longest chain", draft: func(m *maker, one *draft) {
		for length := gpbft.ChainMaxLen; len(one.cert.ECChain.TipSets) < length; {
			one.cert.ECChain.TipSets = append(one.cert.ECChain.TipSets, m.tipset(one.cert.ECChain.Head().Epoch+1))
		}
	}},
	{name: "longest key", draft: func(m *maker, one *draft) {
		tipset := m.tipset(one.cert.ECChain.Head().Epoch + 1)
		tipset.Key = m.bytes(gpbft.TipsetKeyMaxLen)
		one.cert.ECChain.TipSets = append(one.cert.ECChain.TipSets, tipset)
	}},
	{name: "fewer signers", draft: func(m *maker, one *draft) {
		one.signers = slices.Delete(one.signers, 0, 1)
	}},
	{name: "any signers", draft: func(m *maker, one *draft) {
		one.signers = m.Perm(len(one.table))[:1+m.Intn(len(one.table))]
		slices.Sort(one.signers)
	}},
	{name: "all signers", draft: func(_ *maker, one *draft) {
		one.signers = one.signers[:0]
		for at := range one.table {
			one.signers = append(one.signers, at)
		}
	}},
	{name: "signer beyond the table", draft: func(m *maker, one *draft) {
		one.signers = append(one.signers, len(one.table)+m.Intn(3)*m.Intn(3000))
	}},
	{name: "another mask", draft: func(m *maker, one *draft) {
		one.changed = func(one *draft) { m.toggle(one, m.Intn(len(one.table))) }
	}},
	{name: "plain aggregate", draft: func(_ *maker, one *draft) { one.plain = true }},
	{name: "point at infinity", draft: func(_ *maker, one *draft) {
		one.cert.Signature = append([]byte{0xc0}, make([]byte, 95)...)
	}},
	{name: "random signature", draft: func(m *maker, one *draft) { one.cert.Signature = m.bytes(96) }},
	{name: "short signature", draft: func(m *maker, one *draft) { one.cert.Signature = m.bytes(m.Intn(96)) }},
	{name: "order of deltas", draft: func(m *maker, one *draft) {
		one.cert.PowerTableDelta = append(one.cert.PowerTableDelta, m.entrant(2000), m.entrant(1999+m.Intn(2)))
	}},
	{name: "empty delta", draft: func(m *maker, one *draft) {
		m.delta(one, certs.PowerTableDelta{ParticipantID: m.some(one).ID, PowerDelta: fbig.Zero()})
	}},
	{name: "same key", draft: func(m *maker, one *draft) {
		entry := m.some(one)
		m.delta(one, certs.PowerTableDelta{ParticipantID: entry.ID, PowerDelta: fbig.NewInt(1), SigningKey: entry.PubKey})
	}},
	{name: "entrant without key", draft: func(m *maker, one *draft) {
		m.delta(one, certs.PowerTableDelta{ParticipantID: 2500, PowerDelta: fbig.NewInt(5)})
	}},
	{name: "entrant without power", draft: func(m *maker, one *draft) {
		power := fbig.NewInt(-int64(m.Intn(2)))
		m.delta(one, certs.PowerTableDelta{ParticipantID: 2500, PowerDelta: power, SigningKey: m.newKey()})
	}},
	{name: "negative power", draft: func(m *maker, one *draft) {
		entry := m.some(one)
		m.delta(one, certs.PowerTableDelta{ParticipantID: entry.ID, PowerDelta: fbig.Sub(fbig.NewInt(-int64(m.Intn(2))), entry.Power)})
	}},
	{name: "key without power", draft: func(m *maker, one *draft) {
		entry := m.some(one)
		m.delta(one, certs.PowerTableDelta{ParticipantID: entry.ID, PowerDelta: entry.Power.Neg(), SigningKey: m.newKey()})
	}},
	{name: "table gets empty", draft: func(_ *maker, one *draft) {
		one.cert.PowerTableDelta = certs.MakePowerTableDiff(one.table, nil)
	}},
	{name: "key that is no point", draft: func(m *maker, one *draft) {
		key := m.bytes(48 - m.Intn(2)*m.Intn(48))
		m.delta(one, certs.PowerTableDelta{ParticipantID: 2500, PowerDelta: fbig.NewInt(5), SigningKey: key})
	}},
	{name: "key at infinity", draft: func(m *maker, one *draft) {
		key := append([]byte{0xc0}, make([]byte, 47)...)
		m.delta(one, certs.PowerTableDelta{ParticipantID: 2500, PowerDelta: fbig.NewInt(5), SigningKey: key})
	}},
	{name: "CID of the table", draft: func(m *maker, one *draft) {
		one.cert.SupplementalData.PowerTable, one.keepCid = gpbft.MakeCid(m.bytes(8)), true
	}},
	{name: "lost delta", draft: func(_ *maker, one *draft) {
		one.changed = func(one *draft) {
			if length := len(one.cert.PowerTableDelta); length > 0 {
				one.cert.PowerTableDelta = one.cert.PowerTableDelta[:length-1]
			}
		}
	}},
	{name: "commitments after signing", draft: func(m *maker, one *draft) {
		one.changed = func(one *draft) { one.cert.SupplementalData.Commitments[m.Intn(32)] ^= 1 }
	}},
	{name: "tipset after signing", draft: func(m *maker, one *draft) {
		one.changed = func(one *draft) {
			head := *one.cert.ECChain.Head()
			head.Key = append(slices.Clone(head.Key), 1)
			tipsets := slices.Clone(one.cert.ECChain.TipSets)
			tipsets[len(tipsets)-1] = &head
			one.cert.ECChain = &gpbft.ECChain{TipSets: tipsets}
		}
	}},
	{name: "flipped bit", after: flip},
	{name: "changed byte", after: func(m *maker, made *chainCase, at int) {
		made.CBOR[at][m.Intn(len(made.CBOR[at]))] = byte(m.Intn(256))
	}},
	{name: "removed byte", after: func(m *maker, made *chainCase, at int) {
		place := m.Intn(len(made.CBOR[at]))
		made.CBOR[at] = slices.Delete(made.CBOR[at], place, place+1)
	}},
	{name: "added byte", after: func(m *maker, made *chainCase, at int) {
		made.CBOR[at] = slices.Insert(made.CBOR[at], m.Intn(len(made.CBOR[at])+1), byte(m.Intn(256)))
	}},
	{name: "cut", after: func(m *maker, made *chainCase, at int) {
		made.CBOR[at] = made.CBOR[at][:m.Intn(len(made.CBOR[at]))]
	}},
	{name: "flipped bits of signers", after: func(m *maker, made *chainCase, at int) {
		// Signers are before the signature (2 + 96 bytes) and the deltas: an upper part of the certificate.
		made.CBOR[at][len(made.CBOR[at])-1-m.Intn(min(120, len(made.CBOR[at])))] ^= 1 << m.Intn(8)
	}},
	{name: "order", after: func(_ *maker, made *chainCase, _ int) { slices.Reverse(made.CBOR) }},
	{name: "twice", after: func(_ *maker, made *chainCase, at int) { made.CBOR = append(made.CBOR, made.CBOR[at]) }},
	{name: "missing", after: func(_ *maker, made *chainCase, at int) { made.CBOR = slices.Delete(made.CBOR, at, at+1) }},
	{name: "another start", after: func(_ *maker, made *chainCase, _ int) { made.Instance++ }},
	{name: "another network", after: func(_ *maker, made *chainCase, _ int) { made.Network += "x" }},
	{name: "power of the table", after: func(m *maker, made *chainCase, _ int) {
		made.Table = slices.Clone(made.Table)
		made.Table[0].Power = fbig.Add(made.Table[0].Power, fbig.NewInt(1))
	}},
	{name: "key of the table", after: func(m *maker, made *chainCase, _ int) {
		made.Table = slices.Clone(made.Table)
		made.Table[m.Intn(len(made.Table))].PubKey = m.newKey()
	}},
}

func flip(m *maker, made *chainCase, at int) {
	made.CBOR[at][m.Intn(len(made.CBOR[at]))] ^= 1 << m.Intn(8)
}

func (m *maker) some(one *draft) gpbft.PowerEntry { return one.table[m.Intn(len(one.table))] }

func (m *maker) entrant(id int) certs.PowerTableDelta {
	return certs.PowerTableDelta{ParticipantID: gpbft.ActorID(id), PowerDelta: fbig.NewInt(7), SigningKey: m.newKey()}
}

// delta replaces the deltas by one.
func (m *maker) delta(one *draft, delta certs.PowerTableDelta) {
	one.cert.PowerTableDelta = certs.PowerTableDiff{delta}
}

// toggle adds a signer to the mask, or removes one from it.
func (m *maker) toggle(one *draft, at int) {
	if set, err := one.cert.Signers.IsSet(uint64(at)); err == nil && set {
		one.cert.Signers.Unset(uint64(at))
		return
	}
	one.cert.Signers.Set(uint64(at))
}

// Package reward has the types of the reward actor of version 19 (FIP-0118), which go-state-types v0.19.0-rc1 lacks.
//
// The layouts are those of the actor's schema, and the names those of go-state-types' main branch.
package reward

import (
	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/builtin"
	"github.com/filecoin-project/go-state-types/builtin/v19/util/smoothing"
	"github.com/ipfs/go-cid"
	cbg "github.com/whyrusleeping/cbor-gen"
)

type State struct {
	CumsumBaseline          big.Int
	CumsumRealized          big.Int
	EffectiveNetworkTime    abi.ChainEpoch
	EffectiveBaselinePower  abi.StoragePower
	ThisEpochReward         abi.TokenAmount
	ThisEpochRewardSmoothed smoothing.FilterEstimate
	ThisEpochBaselinePower  abi.StoragePower
	Epoch                   abi.ChainEpoch
	TotalMintedReward       abi.TokenAmount
	TotalBurnMinted         abi.TokenAmount
	TotalExplicitMinted     abi.TokenAmount
	SWATimelockEpochs       abi.ChainEpoch
	SWAActor                address.Address
	Accrued                 []StreamAccrual
	StreamsRoot             cid.Cid
}

type StreamAccrual struct {
	ID     uint64
	Amount abi.TokenAmount
}

type WeightRecord struct {
	VStart uint64
	Slope  int64
	TStart abi.ChainEpoch
	Floor  uint64
	Cap    uint64
}

type WeightRecordUpdate struct {
	ID     uint64
	Weight WeightRecord
}

type RecipientShare struct {
	Recipient address.Address
	Share     uint64
}

type DistributionInit struct {
	Writer address.Address
	Shares []RecipientShare
}

type SetWeightRecordsParams struct {
	Updates []WeightRecordUpdate
}

type StepWeightRecordsParams struct {
	Updates []WeightRecordUpdate
}

type RegisterStreamParams struct {
	ID              uint64
	Weight          WeightRecord
	Distribution    *DistributionInit
	ActivationEpoch abi.ChainEpoch
}

type RemoveStreamParams struct {
	ID uint64
}

type SetDistributionParams struct {
	ID     uint64
	Writer address.Address
}

type SetSharesParams struct {
	ID     uint64
	Shares []RecipientShare
}

type CancelPendingParams struct {
	ID *uint64
	Op uint8
}

type ReplaceAddressParams struct {
	ID  uint64
	Old address.Address
	New address.Address
}

type ClaimParams struct {
	ID      uint64
	Wallets []address.Address
}

type ClaimReturn struct {
	Amounts []abi.TokenAmount
}

// Methods has the methods that version 19 adds, by name.
var Methods = map[string]any{
	"SetWeightRecords":  *new(func(*SetWeightRecordsParams) *abi.EmptyValue),
	"StepWeightRecords": *new(func(*StepWeightRecordsParams) *abi.EmptyValue),
	"RegisterStream":    *new(func(*RegisterStreamParams) *abi.EmptyValue),
	"RemoveStream":      *new(func(*RemoveStreamParams) *abi.EmptyValue),
	"SetDistribution":   *new(func(*SetDistributionParams) *abi.EmptyValue),
	"SetShares":         *new(func(*SetSharesParams) *abi.EmptyValue),
	"CancelPending":     *new(func(*CancelPendingParams) *abi.EmptyValue),
	"ReplaceAddress":    *new(func(*ReplaceAddressParams) *cbg.CborInt),
	"Claim":             *new(func(*ClaimParams) *ClaimReturn),
}

// Added returns the methods of version 18 and those that version 19 adds.
func Added(known map[abi.MethodNum]builtin.MethodMeta) map[abi.MethodNum]builtin.MethodMeta {
	all := map[abi.MethodNum]builtin.MethodMeta{}
	for number, method := range known {
		all[number] = method
	}
	for name, method := range Methods {
		all[builtin.MustGenerateFRCMethodNum(name)] = builtin.NewMethodMeta(name+"Exported", method)
	}
	return all
}

// Package market has the state of the market actor of version 19, which go-state-types v0.19.0-rc1 lacks: that of
// version 18 without allocations.
package market

import (
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"
)

type State struct {
	Proposals                     cid.Cid
	States                        cid.Cid
	PendingProposals              cid.Cid
	EscrowTable                   cid.Cid
	LockedTable                   cid.Cid
	NextID                        abi.DealID
	DealOpsByEpoch                cid.Cid
	LastCron                      abi.ChainEpoch
	TotalClientLockedCollateral   abi.TokenAmount
	TotalProviderLockedCollateral abi.TokenAmount
	TotalClientStorageFee         abi.TokenAmount
	ProviderSectors               cid.Cid
}

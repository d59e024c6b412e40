"""Documented exit codes of the official actors by method: 0 and every refusal of their own.

The codes 16 (parameters present or absent by mistake), 21 (undecodable parameters) and 18 (caller may not use internal
numbers) apply to every method and are only listed for a rule of the method itself. Source: the methods' descriptions in
builtin-actors v18.
"""

from typing import Final

_ROWS: Final = {
    "system": "Constructor 0 18 20",
    "init": "Constructor 0 18 20, Exec 0 16 18 21, Exec4 0 16 18 21",
    "cron": "Constructor 0 18 20, EpochTick 0 18",
    "account": "Constructor 0 16 18, PubkeyAddress 0, AuthenticateMessage 0 16",
    "ethaccount": "Constructor 0 18",
    "reward": "Constructor 0 16 18 20, AwardBlockReward 0 16 17 18 20, ThisEpochReward 0, UpdateNetworkKPI 0 16 18",
    "storagepower": "Constructor 0 18 20, CreateMiner 0 16 19, UpdateClaimedPower 0 17 18 20, EnrollCronEvent 0 16 18,"
    " OnEpochTickEnd 0 18, UpdatePledgeTotal 0 18 20, CurrentTotalPower 0, NetworkRawPower 0, MinerCount 0,"
    " MinerConsensusCount 0, MinerRawPower 0 16, MinerPower 0 17",
    "storageminer": "Constructor 0 16 18 19, ControlAddresses 0 18, ChangeWorkerAddress 0 16 18, ChangePeerID 0 16 18,"
    " DeclareFaults 0 16 17 18, OnDeferredCronEvent 0 18 20, CheckSectorProven 0 17, ApplyRewards 0 16 18 19,"
    " WithdrawBalance 0 16 18 19, ChangeMultiaddrs 0 16 18, ConfirmChangeWorkerAddress 0 18, RepayDebt 0 18,"
    " ChangeOwnerAddress 0 16 18, ChangeBeneficiary 0 16 18, GetBeneficiary 0, GetOwner 0, IsControllingAddress 0,"
    " GetSectorSize 0, GetAvailableBalance 0, GetVestingFunds 0, GetPeerID 0, GetMultiaddrs 0, MaxTerminationFee 0,"
    " InitialPledge 0, GenerateSectorLocation 0, ValidateSectorStatus 0 16 17, GetNominalSectorExpiration 0 17",
    "storagemarket": "Constructor 0 18 20, AddBalance 0 16, WithdrawBalance 0 16 18, PublishStorageDeals 0 16 17 18 20,"
    " VerifyDealsForActivation 0 16 17 18 32, BatchActivateDeals 0 18, OnMinerSectorsTerminate 0 18, CronTick 0 18,"
    " GetBalance 0 16, GetDealDataCommitment 0 17 32, GetDealClient 0 17 32, GetDealProvider 0 17 32,"
    " GetDealLabel 0 17 32, GetDealTerm 0 17 32, GetDealTotalPrice 0 17 32, GetDealClientCollateral 0 17 32,"
    " GetDealProviderCollateral 0 17 32, GetDealVerified 0 17 32, GetDealActivation 0 17 32, GetDealSector 0 17 32 33,"
    " SettleDealPayments 0, SectorContentChanged 0 18 20",
    "multisig": "Constructor 0 16 18, Propose 0 16 18 19, Approve 0 16 17 18 19, Cancel 0 17 18 20, AddSigner 0 18,"
    " RemoveSigner 0 16 18, SwapSigner 0 16 18, ChangeNumApprovalsThreshold 0 16 18, LockBalance 0 16 18, Receive 0",
    "paymentchannel": "Constructor 0 18 20, UpdateChannelState 0 16 18 32, Settle 0 18 20, Collect 0 18",
    "verifiedregistry": "Constructor 0 16 18 20, AddVerifier 0 16 17 18, RemoveVerifier 0 16 18,"
    " AddVerifiedClient 0 16 17, RemoveVerifiedClientDataCap 0 16 17 18, RemoveExpiredAllocations 0,"
    " ClaimAllocations 0 16 18, GetClaims 0, ExtendClaimTerms 0, RemoveExpiredClaims 0, Receive 0 16 18 21",
    "datacap": "Constructor 0 16 18 20, Mint 0 16 17 18, Destroy 0 16 17 18 19, Name 0, Symbol 0, Granularity 0,"
    " TotalSupply 0, Balance 0, Allowance 0, Transfer 0 16 18 19, TransferFrom 0 16 18 19,"
    " IncreaseAllowance 0 16 17, DecreaseAllowance 0 16 17, RevokeAllowance 0, Burn 0 16 19, BurnFrom 0 16 19",
    "eam": "Constructor 0 18, Create 0 18, Create2 0 18 21, CreateExternal 0 18 33",
}

EXITS: Final = {
    (actor, row.split()[0]): frozenset(int(code) for code in row.split()[1:])
    for actor, rows in _ROWS.items()
    for row in rows.split(", ")
}
"""Exit codes by actor and method."""

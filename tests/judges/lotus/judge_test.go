// Lotus with mock proofs as a judge of JSON-RPC, on its own test kit.
//
// /rpc/v0, /rpc/v1 and /rpc/v2 answer without a token. /mine?nulls=2 makes a block after two null rounds, or none if
// the miner does not win. /fund?to=ADDRESS&fil=100 sends FIL with the next block. JUDGE_PORT and JUDGE_NETWORK are port
// and network version.
package judge

import (
	"context"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	fbig "github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/network"

	"github.com/filecoin-project/lotus/chain/types"
	"github.com/filecoin-project/lotus/chain/types/ethtypes"
	"github.com/filecoin-project/lotus/itests/kit"
	"github.com/filecoin-project/lotus/miner"
	"github.com/filecoin-project/lotus/node"
)

// must ends a request without an answer.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func number(text string) int {
	value, err := strconv.Atoi(text)
	must(err)
	return value
}

func receiver(text string) (address.Address, error) {
	if !strings.HasPrefix(text, "0x") {
		return address.NewFromString(text)
	}
	found, err := ethtypes.ParseEthAddress(text)
	if err != nil {
		return address.Undef, err
	}
	return found.ToFilecoinAddress()
}

func TestJudge(t *testing.T) {
	ctx := context.Background()
	address.CurrentNetwork = address.Testnet
	version := network.Version(number(os.Getenv("JUDGE_NETWORK")))
	full, producer, ensemble := kit.EnsembleMinimal(
		t, kit.MockProofs(), kit.WithEthRPC(), kit.F3Disabled(), kit.GenesisNetworkVersion(version))
	ensemble.InterconnectAll()
	rpc, err := node.FullNodeHandler(full.FullNode, full.V2, false)
	require.NoError(t, err)

	routes := http.NewServeMux()
	routes.Handle("/rpc/", rpc)
	routes.HandleFunc("/mine", func(w http.ResponseWriter, r *http.Request) {
		ended := make(chan abi.ChainEpoch)
		must(producer.MineOne(ctx, miner.MineReq{
			InjectNulls: abi.ChainEpoch(number(r.URL.Query().Get("nulls"))),
			Done: func(won bool, epoch abi.ChainEpoch, err error) {
				must(err)
				ended <- epoch
			},
		}))
		for epoch := <-ended; ; time.Sleep(10 * time.Millisecond) {
			head, err := full.ChainHead(ctx)
			must(err)
			if head.Height() >= epoch {
				return
			}
		}
	})
	routes.HandleFunc("/fund", func(w http.ResponseWriter, r *http.Request) {
		to, err := receiver(r.URL.Query().Get("to"))
		must(err)
		fil := new(big.Int).Exp(big.NewInt(10), big.NewInt(18), nil)
		value := fbig.Mul(fbig.NewInt(int64(number(r.URL.Query().Get("fil")))), fbig.NewFromGo(fil))
		message := &types.Message{From: full.DefaultKey.Address, To: to, Value: value}
		_, err = full.MpoolPushMessage(ctx, message, nil)
		must(err)
	})
	server := &http.Server{
		Addr: fmt.Sprintf("127.0.0.1:%s", os.Getenv("JUDGE_PORT")), Handler: routes, ReadHeaderTimeout: time.Minute}
	require.NoError(t, server.ListenAndServe())
}

//! Expected bytes are those of the ABI specification and of FIP-0054, laid out by hand.

use alloy_sol_types::{ContractError, SolCall};
use fvm_ipld_encoding::ipld_block::IpldBlock;
use fvm_ipld_encoding::{CBOR, DAG_CBOR, IPLD_RAW};
use fvm_shared::Response;
use fvm_shared::address::Address;
use fvm_shared::error::{ErrorNumber, ExitCode};

use crate::call::{INVOKE_EVM, decode_answer, returned};
use crate::handler::{RECEIVE, decode_call, decode_return, encode_call, encode_return};
use crate::{CallError, EthAddress, I256, U256, serve};

crate::sol! {
    interface Errors {
        error ActorError(int256 errorCode);
        error NotEnoughBalance(uint256 balance, uint256 value);
    }
    interface Specification {
        function baz(uint32 x, bool y) external returns (bool r);
        function sam(bytes name, bool z, uint256[] data) external;
        function two() external returns (uint256 number, string name);
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn word(number: u64) -> String {
    format!("{number:064x}")
}

fn block(codec: u64, data: &str) -> Option<IpldBlock> {
    Some(IpldBlock { codec, data: hex(data) })
}

fn response(exit: u32, return_data: Option<IpldBlock>) -> Response {
    Response { exit_code: ExitCode::new(exit), return_data }
}

fn reverted(data: &str) -> CallError {
    CallError::Reverted(hex(data))
}

#[test]
fn calldata_is_that_of_the_abi_specifications_examples() {
    let baz = Specification::bazCall { x: 69, y: true }.abi_encode();
    assert_eq!(baz, hex(&format!("cdcd77c0 {} {}", word(69), word(1))));
    let data = [1, 2, 3].map(U256::from).to_vec();
    let sam = Specification::samCall { name: b"dave".into(), z: true, data }.abi_encode();
    let numbers = [1, 2, 3].map(word).concat();
    let words = [word(0x60), word(1), word(0xa0), word(4), format!("64617665{}", "0".repeat(56)), word(3)].concat();
    assert_eq!(sam, hex(&format!("a5643bf2 {words} {numbers}")));
}

#[test]
fn method_numbers_are_frc_42s() {
    assert_eq!((INVOKE_EVM, RECEIVE), (3_844_450_837, 3_726_118_371));
}

#[test]
fn return_data_comes_as_one_cbor_byte_string() {
    assert_eq!(returned(response(0, block(CBOR, "430a0b0c"))), Ok(hex("0a0b0c")));
    assert_eq!(returned(response(0, block(CBOR, "40"))), Ok(vec![]));
    // Contracts see the block of a native actor that wraps nothing, so does this.
    assert_eq!(returned(response(0, block(DAG_CBOR, "820102"))), Ok(hex("820102")));
}

#[test]
fn who_answers_nothing_at_all_is_no_contract() {
    assert_eq!(returned(response(0, None)), Err(CallError::NoContract));
}

#[test]
fn answers_are_decoded_by_the_functions_types() {
    assert_eq!(decode_answer::<Specification::bazCall>(&hex(&word(1))), Ok(true));
    let two = format!("{} {} {} 6869{}", word(7), word(64), word(2), "0".repeat(60));
    let answer = decode_answer::<Specification::twoCall>(&hex(&two)).unwrap();
    assert_eq!((answer.number, answer.name.as_str()), (U256::from(7), "hi"));
}

#[test]
fn an_answer_that_is_too_short_or_out_of_range_is_an_error() {
    for data in [String::new(), word(1)[..62].to_string(), word(2)] {
        let found = decode_answer::<Specification::bazCall>(&hex(&data));
        assert!(matches!(&found, Err(CallError::Answer(why)) if why.starts_with("baz(uint32,bool): ")), "{found:?}");
    }
}

#[test]
fn an_answer_whose_offsets_point_outside_is_an_error() {
    let far = format!("{} {}", word(7), word(u64::MAX));
    assert!(decode_answer::<Specification::twoCall>(&hex(&far)).is_err());
}

#[test]
fn a_revert_gives_its_reason_in_words() {
    let not_today = format!("08c379a0 {} {} 6e6f7420746f646179{}", word(32), word(9), "0".repeat(46));
    let wrapped = [hex("5864"), hex(&not_today)].concat();
    let error = returned(response(33, Some(IpldBlock { codec: CBOR, data: wrapped }))).unwrap_err();
    assert_eq!(error.to_string(), "the contract reverted: not today");
    assert!(reverted(&format!("4e487b71 {}", word(0x11))).to_string().contains("overflow"));
    assert_eq!(reverted("").to_string(), "the contract reverted: without data");
    assert_eq!(reverted("0badc0de").to_string(), "the contract reverted: 0badc0de");
}

#[test]
fn a_flood_of_words_is_cut() {
    let data = CallError::Reverted(vec![0xab; 5000]);
    assert_eq!(data.to_string(), format!("the contract reverted: {}...", "ab".repeat(128)));
    let text = serve::revert_with(&"\u{fc}".repeat(5000));
    let shown = CallError::exited(serve::REVERTED, Some(text)).to_string();
    assert_eq!(shown, format!("the contract reverted: {}...", "\u{fc}".repeat(256)));
    let answer = decode_answer::<Specification::bazCall>(&[0xff; 5000]).unwrap_err();
    assert!(answer.to_string().len() < 300, "{answer}");
}

#[test]
fn a_custom_error_is_recognised_among_others() {
    let error = reverted(&format!("8f0f4206 {} {}", word(5), word(6)));
    assert_eq!(error.custom::<Errors::ActorError>(), None);
    let found = error.custom::<Errors::NotEnoughBalance>().unwrap();
    assert_eq!((found.balance, found.value), (U256::from(5), U256::from(6)));
    let any = error.of_interface::<Errors::ErrorsErrors>();
    assert!(matches!(any, Some(ContractError::CustomError(Errors::ErrorsErrors::NotEnoughBalance(_)))));
    let cut = reverted(&format!("8f0f4206 {}", word(5)));
    assert_eq!(cut.custom::<Errors::NotEnoughBalance>(), None);
}

#[test]
fn other_exits_and_refused_sends_are_told_apart_from_reverts() {
    assert_eq!(returned(response(7, None)), Err(CallError::Exited(ExitCode::SYS_OUT_OF_GAS, vec![])));
    let error = CallError::NotSent(ErrorNumber::InsufficientFunds);
    assert_eq!(error.revert_data(), None);
    assert_eq!(error.to_string(), "the call was not sent: error number 5");
}

#[test]
fn a_method_by_number_is_the_call_of_a_contracts_handler() {
    let params = block(CBOR, "820102");
    let calldata = encode_call(RECEIVE, params.as_ref());
    let words = [word(3_726_118_371), word(0x51), word(96), word(3), format!("820102{}", "0".repeat(58))].concat();
    assert_eq!(calldata, hex(&format!("868e10c4 {words}")));
    assert_eq!(decode_call(&calldata), Some((RECEIVE, params)));
    assert_eq!(decode_call(&encode_call(RECEIVE, None)), Some((RECEIVE, None)));
    assert_eq!(decode_call(&hex("cdcd77c0")), None);
}

#[test]
fn a_handlers_answer_is_read_as_the_evm_actor_reads_it() {
    assert_eq!(decode_return(b""), Ok(None));
    let five = [word(0), word(0x51), word(96), word(1), format!("05{}", "0".repeat(62))].concat();
    assert_eq!(decode_return(&hex(&five)), Ok(block(CBOR, "05")));
    let refused = [word(77), word(0), word(96), word(0)].concat();
    assert_eq!(decode_return(&hex(&refused)), Err(CallError::Exited(ExitCode::new(77), vec![])));
    for codec in [0, DAG_CBOR, IPLD_RAW] {
        let other = [word(0), word(codec), word(96), word(1), format!("05{}", "0".repeat(62))].concat();
        assert!(matches!(decode_return(&hex(&other)), Err(CallError::Answer(_))), "codec {codec}");
    }
    assert_eq!(encode_return(ExitCode::OK, block(CBOR, "05").as_ref()), hex(&five));
    assert_eq!(encode_return(ExitCode::new(77), None), hex(&refused));
}

#[test]
fn an_actor_that_serves_calls_reads_calldata_as_contracts_do() {
    assert_eq!(serve::calldata(None), Some(vec![]));
    assert_eq!(serve::calldata(block(IPLD_RAW, "cdcd77c0")), Some(hex("cdcd77c0")));
    assert_eq!(serve::calldata(block(CBOR, "44cdcd77c0")), Some(hex("cdcd77c0")));
    assert_eq!(serve::calldata(block(CBOR, "820102")), None);
}

#[test]
fn what_an_actor_serves_is_read_by_its_caller() {
    let answer = serve::answer::<Specification::bazCall>(&true);
    assert_eq!(answer, block(CBOR, &format!("5820 {}", word(1))).unwrap());
    let error = serve::revert(&Errors::ActorError { errorCode: I256::try_from(-6).unwrap() });
    let data = returned(response(33, Some(error))).unwrap_err();
    assert_eq!(data.revert_data(), Some(&hex(&format!("d4bb6671 {}fa", "f".repeat(62)))[..]));
    assert_eq!(
        CallError::exited(serve::REVERTED, Some(serve::revert_with("no"))).to_string(),
        "the contract reverted: no"
    );
}

#[test]
fn masked_ids_and_delegated_addresses_map_to_filecoins_and_back() {
    let masked = EthAddress(hex("ff00000000000000000000000000000000000007").try_into().unwrap());
    assert_eq!((masked, masked.to_filecoin()), (EthAddress::masked(7), Address::new_id(7)));
    let other = EthAddress(hex("ff00000000000000000000010000000000000007").try_into().unwrap());
    let delegated = other.to_filecoin();
    assert_eq!(delegated.to_bytes(), [hex("040a"), other.0.to_vec()].concat());
    assert_eq!(EthAddress::from_filecoin(&delegated), Some(other));
    assert_eq!(EthAddress::from_filecoin(&Address::new_id(7)), Some(masked));
}

#[test]
fn an_f410_address_that_looks_like_a_masked_id_is_no_such_actor() {
    let confusing = Address::new_delegated(10, &EthAddress::masked(7).0).unwrap();
    assert_eq!(EthAddress::from_filecoin(&confusing), None);
    assert_eq!(EthAddress::from_filecoin(&Address::new_actor(b"robust")), None);
    assert_eq!(EthAddress::from_filecoin(&Address::new_delegated(11, &[1; 20]).unwrap()), None);
}

/* A tally: anybody adds to a number, everybody reads it.
 *
 * `interface.ipldsch` declares state, parameters and answers. State and parameters are CBOR lists of one number, which
 * is all of CBOR that this actor needs; a real one takes a library for it.
 */
#include "fvm.h"

#define METHOD_CONSTRUCTOR 1
#define METHOD_ADD 45300949u     /* the FRC-42 hash of "Add" */
#define METHOD_TOTAL 4253370110u /* the FRC-42 hash of "Total" */

#define LENGTH(text) (sizeof(text) - 1)
#define ABORT(code, text) fvm_vm_exit(code, FVM_NO_BLOCK, text, LENGTH(text))

/* Ends the call where a syscall refuses. */
static void check(uint32_t error) {
    if (error) ABORT(FVM_USR_ASSERTION_FAILED, "a syscall was refused");
}

static void log_line(const char *text, uint32_t length) {
    int32_t enabled;
    check(fvm_debug_enabled(&enabled));
    if (enabled == 0) check(fvm_debug_log(text, length));
}

/* --- CBOR: numbers, and lists of one number ---------------------------------------------------------------------- */

static uint32_t write_number(uint8_t *at, uint64_t number) {
    uint32_t size = number < 24 ? 0 : number < 1u << 8 ? 1 : number < 1u << 16 ? 2 : number >> 32 == 0 ? 4 : 8;
    at[0] = size == 0 ? (uint8_t)number : size == 1 ? 24 : size == 2 ? 25 : size == 4 ? 26 : 27;
    for (uint32_t place = 0; place < size; place++) at[1 + place] = (uint8_t)(number >> 8 * (size - 1 - place));
    return 1 + size;
}

static uint64_t read_number(const uint8_t *at, uint32_t length) {
    uint8_t head = length ? at[0] : 0xff;
    uint32_t size = head < 24 ? 0 : head <= 27 ? 1u << (head - 24) : 99;
    if (length != 1 + size) ABORT(FVM_USR_SERIALIZATION, "expected one number that is not negative");
    uint64_t number = size == 0 ? head : 0;
    for (uint32_t place = 0; place < size; place++) number = number << 8 | at[1 + place];
    return number;
}

/* The number in a block: a list of one. */
static uint64_t read_block(uint32_t block) {
    uint8_t data[16];
    int32_t left;
    check(fvm_ipld_block_read(&left, block, 0, data, sizeof data));
    if (left > 0 || -left >= (int32_t)sizeof data || data[0] != 0x81)
        ABORT(FVM_USR_SERIALIZATION, "expected a list of one number");
    return read_number(data + 1, (uint32_t)((int32_t)sizeof data + left) - 1);
}

/* --- state and answers ------------------------------------------------------------------------------------------- */

static uint64_t load(void) {
    uint8_t root[100];
    uint32_t length;
    fvm_ipld_open opened;
    check(fvm_self_root(&length, root, sizeof root));
    check(fvm_ipld_block_open(&opened, root));
    return read_block(opened.block);
}

static void save(uint64_t total) {
    uint8_t data[10], root[100];
    uint32_t block, length;
    data[0] = 0x81;
    uint32_t size = 1 + write_number(data + 1, total);
    check(fvm_ipld_block_create(&block, FVM_DAG_CBOR, data, size));
    check(fvm_ipld_block_link(&length, block, FVM_BLAKE2B_256, FVM_BLAKE2B_256_LENGTH, root, sizeof root));
    if (fvm_self_set_root(root)) ABORT(FVM_USR_READ_ONLY, "no changes in a read-only call");
}

static uint32_t answer(uint64_t number) {
    uint8_t data[9];
    uint32_t block;
    check(fvm_ipld_block_create(&block, FVM_CBOR, data, write_number(data, number)));
    return block;
}

/* --- methods ----------------------------------------------------------------------------------------------------- */

static uint32_t construct(uint64_t caller) {
    if (caller != 1) ABORT(FVM_USR_FORBIDDEN, "an actor is constructed once, by the init actor");
    save(0);
    return FVM_NO_BLOCK;
}

static uint32_t add(uint32_t params) {
    if (params == FVM_NO_BLOCK) ABORT(FVM_USR_ILLEGAL_ARGUMENT, "this method takes parameters");
    uint64_t amount = read_block(params), total = load();
    if (total + amount < total) ABORT(FVM_USR_ILLEGAL_ARGUMENT, "the total would not fit in 64 bits");
    log_line("added", LENGTH("added"));
    save(total + amount);
    return answer(total + amount);
}

/* The VM's way in: the handle of the parameter block, 0 for none; answers the handle of the return block. */
uint32_t invoke(uint32_t params) {
    fvm_message_context message;
    check(fvm_vm_message_context(&message));
    switch (message.method) {
        case METHOD_CONSTRUCTOR: return construct(message.caller);
        case METHOD_ADD: return add(params);
        case METHOD_TOTAL: return answer(load());
        default: ABORT(FVM_USR_UNHANDLED_MESSAGE, "this actor has no such method");
    }
}

/* Injects a fault at chosen system calls on the files of one folder. Loaded with LD_PRELOAD by
   tests/crash/system_faults.py.

   fault_arm selects a folder, a set of kinds of calls, the first call with the fault, how many calls have it, an action
   and its value. The calls of each kind are counted from then on. Only open files of the folder are counted, so pipes
   and logs elsewhere are unaffected. Files are recognized by the absolute path passed to open or openat. RocksDB and
   Python use no dup, pwritev, renameat or unlinkat there. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

/* OPEN only reads; CREATE may write or create the file. */
enum kind { WRITE, SYNC, OPEN, CREATE, NAMES, KINDS };

/* FAIL: the call fails with errno `value`. SHORTEN: half of the bytes are written. KILL, STOP: the process gets SIGKILL
   or SIGSTOP. LIMIT_MEMORY: the address space grows by at most `value` bytes. STEP_CLOCK: the clock is `value` seconds
   ahead. */
enum action { FAIL, SHORTEN, KILL, STOP, LIMIT_MEMORY, STEP_CLOCK };

#define MAX_FILES 65536

static char folder[4096];
static size_t folder_length;
static unsigned chosen;
static long first, span, value;
static enum action action;
static long counts[KINDS], matched;
static time_t clock_offset;
static char is_inside[MAX_FILES];

/* Let the address space grow by at most this many bytes from now on; without limit if negative. */
static void limit_memory(long bytes) {
    struct rlimit limit;
    long pages = 0;
    getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = limit.rlim_max;
    FILE *status = bytes < 0 ? NULL : fopen("/proc/self/statm", "r");
    if (status) {
        if (fscanf(status, "%ld", &pages) == 1) limit.rlim_cur = pages * sysconf(_SC_PAGESIZE) + bytes;
        fclose(status);
    }
    setrlimit(RLIMIT_AS, &limit);
}

void fault_arm(const char *path, unsigned kinds, long from, long calls, int what, long number) {
    snprintf(folder, sizeof folder, "%s/", path);
    folder_length = strlen(folder);
    chosen = kinds, first = from, span = calls, action = what, value = number;
    memset(counts, 0, sizeof counts);
    matched = 0;
}

void fault_disarm(void) {
    span = 0;
    if (action == LIMIT_MEMORY) limit_memory(-1);
    clock_offset = 0;
}

long fault_count(int kind) { return counts[kind]; }

/* Count a call of this kind; return 1 if it must fail or be shortened. */
static int is_faulty(enum kind kind) {
    if (!folder_length) return 0;
    __atomic_add_fetch(&counts[kind], 1, __ATOMIC_SEQ_CST);
    if (!(chosen >> kind & 1)) return 0;
    long number = __atomic_add_fetch(&matched, 1, __ATOMIC_SEQ_CST);
    int is_chosen = number >= first && number < first + span;
    if (action == FAIL || action == SHORTEN) return is_chosen;
    if (action == STEP_CLOCK) clock_offset = is_chosen ? value : 0;
    if (!is_chosen) return 0;
    if (action == KILL) kill(getpid(), SIGKILL);
    if (action == STOP) kill(getpid(), SIGSTOP);
    if (action == LIMIT_MEMORY && number == first) limit_memory(value);
    return 0;
}

static int is_below(const char *path) { return folder_length && !strncmp(path, folder, folder_length); }

static int is_tracked(int file) { return file >= 0 && file < MAX_FILES && is_inside[file]; }

#define NEXT(name) \
    static __typeof__(name) *next; \
    if (!next) next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

/* Fail, or shorten to half of the bytes and let the call through. */
#define FAIL_WRITE(file, length) \
    if (is_tracked(file) && is_faulty(WRITE)) { \
        if (action == FAIL) { errno = (int)value; return -1; } \
        if (length > 1) length /= 2; \
    }

ssize_t write(int file, const void *data, size_t length) {
    NEXT(write);
    FAIL_WRITE(file, length)
    return next(file, data, length);
}

ssize_t pwrite(int file, const void *data, size_t length, off_t offset) {
    NEXT(pwrite);
    FAIL_WRITE(file, length)
    return next(file, data, length, offset);
}

ssize_t pwrite64(int file, const void *data, size_t length, off64_t offset) {
    NEXT(pwrite64);
    FAIL_WRITE(file, length)
    return next(file, data, length, offset);
}

#define FAIL(kind, condition) \
    if ((condition) && is_faulty(kind) && action == FAIL) { errno = (int)value; return -1; }

int fallocate(int file, int mode, off_t offset, off_t length) {
    NEXT(fallocate);
    FAIL(WRITE, is_tracked(file))
    return next(file, mode, offset, length);
}

int fallocate64(int file, int mode, off64_t offset, off64_t length) {
    NEXT(fallocate64);
    FAIL(WRITE, is_tracked(file))
    return next(file, mode, offset, length);
}

int fsync(int file) {
    NEXT(fsync);
    FAIL(SYNC, is_tracked(file))
    return next(file);
}

int fdatasync(int file) {
    NEXT(fdatasync);
    FAIL(SYNC, is_tracked(file))
    return next(file);
}

int sync_file_range(int file, off64_t offset, off64_t length, unsigned int flags) {
    NEXT(sync_file_range);
    FAIL(SYNC, is_tracked(file))
    return next(file, offset, length, flags);
}

int rename(const char *old, const char *new) {
    NEXT(rename);
    FAIL(NAMES, is_below(old))
    return next(old, new);
}

int link(const char *old, const char *new) {
    NEXT(link);
    FAIL(NAMES, is_below(new))
    return next(old, new);
}

int unlink(const char *path) {
    NEXT(unlink);
    FAIL(NAMES, is_below(path))
    return next(path);
}

int ftruncate(int file, off_t length) {
    NEXT(ftruncate);
    FAIL(NAMES, is_tracked(file))
    return next(file, length);
}

int ftruncate64(int file, off64_t length) {
    NEXT(ftruncate64);
    FAIL(NAMES, is_tracked(file))
    return next(file, length);
}

static int track(int file, const char *path) {
    if (file >= 0 && file < MAX_FILES) is_inside[file] = (char)is_below(path);
    return file;
}

#define OPEN_MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    } \
    FAIL((flags) & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC) ? CREATE : OPEN, is_below(path))

int open(const char *path, int flags, ...) {
    NEXT(open);
    OPEN_MODE(flags)
    return track(next(path, flags, mode), path);
}

int open64(const char *path, int flags, ...) {
    NEXT(open64);
    OPEN_MODE(flags)
    return track(next(path, flags, mode), path);
}

int openat(int base, const char *path, int flags, ...) {
    NEXT(openat);
    OPEN_MODE(flags)
    return track(next(base, path, flags, mode), path);
}

int openat64(int base, const char *path, int flags, ...) {
    NEXT(openat64);
    OPEN_MODE(flags)
    return track(next(base, path, flags, mode), path);
}

int close(int file) {
    NEXT(close);
    if (file >= 0 && file < MAX_FILES) is_inside[file] = 0;
    return next(file);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    NEXT(clock_gettime);
    int failure = next(clock, now);
    if (!failure && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += clock_offset;
    return failure;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    NEXT(gettimeofday);
    int failure = next(now, zone);
    if (!failure) now->tv_sec += clock_offset;
    return failure;
}

time_t time(time_t *out) {
    NEXT(time);
    time_t now = next(NULL) + clock_offset;
    if (out) *out = now;
    return now;
}

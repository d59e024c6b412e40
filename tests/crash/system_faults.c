/* Makes chosen system calls on the files of one folder fail. Loaded with LD_PRELOAD by tests/crash/system_faults.py.

   fault_arm selects a folder, a kind of call, the first call that fails, how many of them fail, and errno. The calls of
   each kind are counted from then on. An errno of 0 shortens writes instead: half of the bytes are written. Only open
   files of the folder are counted, so pipes and logs elsewhere are unaffected. Files are recognized by the absolute
   path passed to open or openat. RocksDB and Python use no dup, pwritev, renameat or unlinkat there. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum kind { WRITE, SYNC, OPEN, NAMES, KINDS };

#define MAX_FILES 65536

static char folder[4096];
static size_t folder_length;
static enum kind chosen;
static long first, span;
static int error;
static long counts[KINDS];
static char is_inside[MAX_FILES];

void fault_arm(const char *path, int kind, long from, long calls, int number) {
    snprintf(folder, sizeof folder, "%s/", path);
    folder_length = strlen(folder);
    chosen = kind, first = from, span = calls, error = number;
    memset(counts, 0, sizeof counts);
}

void fault_disarm(void) { span = 0; }

long fault_count(int kind) { return counts[kind]; }

/* Count a call of this kind; return 1 if it must fail. */
static int fails(enum kind kind) {
    if (!folder_length) return 0;
    long number = __atomic_add_fetch(&counts[kind], 1, __ATOMIC_SEQ_CST);
    return kind == chosen && number >= first && number < first + span;
}

static int is_below(const char *path) { return folder_length && !strncmp(path, folder, folder_length); }

static int is_tracked(int file) { return file >= 0 && file < MAX_FILES && is_inside[file]; }

#define NEXT(name) \
    static __typeof__(name) *next; \
    if (!next) next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

/* Fail, or shorten to half of the bytes and let the call through. */
#define FAIL_WRITE(file, length) \
    if (is_tracked(file) && fails(WRITE)) { \
        if (error) { errno = error; return -1; } \
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
    if ((condition) && fails(kind) && error) { errno = error; return -1; }

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
    FAIL(OPEN, is_below(path))

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

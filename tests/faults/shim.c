/* A library to preload that makes real system calls fail, tear or kill at a chosen call.

   cc -shared -fPIC -O1 -o shim.so shim.c -ldl, then LD_PRELOAD=shim.so and, through ctypes:
   shim_arm(at, action, error, kinds) counts the calls that change regular files and folders from
   there on and acts at call number `at`; shim_count() disarms it and gives the number of calls.
   FAULT="at action error kinds" in the environment arms it from the start of a process,
   FAULT_UNDER=folder for files that are opened below that folder only.
   shim_free(bytes) lets every disk have so much room; shim_reverse(1) turns folders around. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <unistd.h>

enum action { NOTHING, KILL, TEAR, FAIL_ONCE, FAIL_FROM, SHORTEN };
enum kind { CREATE = 1, WRITE = 2, SYNC = 4, RENAME = 8, OTHER = 16, REMOVE = 32 };

static long calls, act_at = -1, room = -1;
static char *scope;
static int armed, what, number, wanted = 63, reversed;

void shim_arm(long at, int action, int error, int kinds) {
    calls = 0; act_at = at; what = action; number = error; wanted = kinds; armed = 1;
}
long shim_count(void) { armed = 0; return calls; }
void shim_free(long bytes) { room = bytes; }
void shim_reverse(int on) { reversed = on; }

__attribute__((constructor)) static void from_environment(void) {
    long at; int action, error, kinds;
    char *text = getenv("FAULT");
    if (text && sscanf(text, "%ld %d %d %d", &at, &action, &error, &kinds) == 4)
        shim_arm(at, action, error, kinds);
    scope = getenv("FAULT_UNDER");
    if ((text = getenv("FAULT_ROOM"))) room = atol(text);
    if (getenv("FAULT_REVERSED")) reversed = 1;
}

/* FAULT_UNDER limits faults at opening to paths below a folder. */
static int in_scope(const char *path) {
    return !scope || !strncmp(path, scope, strlen(scope));
}

static void die(void) { kill(getpid(), SIGKILL); for (;;) pause(); }

/* What to do with this call: NOTHING, TEAR or SHORTEN, or FAIL_ONCE with errno set. */
static int consider(enum kind kind) {
    if (!armed || !(kind & wanted)) return NOTHING;
    long now = calls++;
    if (what == FAIL_FROM && act_at >= 0 && now >= act_at) {
        if (number == ENOSPC && kind == REMOVE) return NOTHING; /* deleting needs no room */
        errno = number;
        return FAIL_ONCE;
    }
    if (now != act_at) return NOTHING;
    if (what == KILL) die();
    if (what == FAIL_ONCE) errno = number;
    return what;
}

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name);

#define WRAP(kind, name, declared, passed, ...) \
    int name declared { \
        REAL(int, name, __VA_ARGS__) \
        int act = consider(kind); \
        if (act == FAIL_ONCE) return -1; \
        int result = real passed; \
        if (act == TEAR) die(); \
        return result; \
    }

WRAP(SYNC, fsync, (int fd), (fd), int)
WRAP(SYNC, fdatasync, (int fd), (fd), int)
WRAP(RENAME, rename, (const char *a, const char *b), (a, b), const char *, const char *)
WRAP(RENAME, renameat, (int x, const char *a, int y, const char *b), (x, a, y, b), int, const char *, int, const char *)
WRAP(RENAME, renameat2, (int x, const char *a, int y, const char *b, unsigned f), (x, a, y, b, f), int, const char *, int, const char *, unsigned)
WRAP(OTHER, link, (const char *a, const char *b), (a, b), const char *, const char *)
WRAP(OTHER, linkat, (int x, const char *a, int y, const char *b, int f), (x, a, y, b, f), int, const char *, int, const char *, int)
WRAP(OTHER, mkdir, (const char *a, mode_t m), (a, m), const char *, mode_t)
WRAP(OTHER, mkdirat, (int x, const char *a, mode_t m), (x, a, m), int, const char *, mode_t)
WRAP(OTHER, ftruncate, (int fd, off_t l), (fd, l), int, off_t)
WRAP(OTHER, ftruncate64, (int fd, off64_t l), (fd, l), int, off64_t)
WRAP(REMOVE, unlink, (const char *a), (a), const char *)
WRAP(REMOVE, unlinkat, (int x, const char *a, int f), (x, a, f), int, const char *, int)
WRAP(REMOVE, rmdir, (const char *a), (a), const char *)

#define OPEN(name, declared, passed, ...) \
    int name declared { \
        REAL(int, name, __VA_ARGS__, mode_t) \
        mode_t mode = 0; \
        if (flags & (O_CREAT | O_TMPFILE)) { va_list l; va_start(l, flags); mode = va_arg(l, mode_t); va_end(l); } \
        int act = flags & (O_CREAT | O_WRONLY | O_RDWR) && in_scope(path) ? consider(CREATE) : NOTHING; \
        if (act == FAIL_ONCE) return -1; \
        int result = real passed; \
        if (act == TEAR) die(); \
        return result; \
    }
OPEN(open, (const char *path, int flags, ...), (path, flags, mode), const char *, int)
OPEN(open64, (const char *path, int flags, ...), (path, flags, mode), const char *, int)
OPEN(openat, (int at, const char *path, int flags, ...), (at, path, flags, mode), int, const char *, int)
OPEN(openat64, (int at, const char *path, int flags, ...), (at, path, flags, mode), int, const char *, int)

static int to_a_file(int fd) {
    struct stat state;
    return armed && !fstat(fd, &state) && S_ISREG(state.st_mode);
}

#define PUT(name, declared, half, whole, ...) \
    ssize_t name declared { \
        REAL(ssize_t, name, __VA_ARGS__) \
        int act = to_a_file(fd) ? consider(WRITE) : NOTHING; \
        if (act == FAIL_ONCE) return -1; \
        if ((act == TEAR || act == SHORTEN) && length > 1) { \
            ssize_t result = real half; \
            if (act == TEAR) die(); \
            return result; \
        } \
        return real whole; \
    }
PUT(write, (int fd, const void *data, size_t length), (fd, data, length / 2), (fd, data, length), int, const void *, size_t)
PUT(pwrite, (int fd, const void *data, size_t length, off_t at), (fd, data, length / 2, at), (fd, data, length, at), int, const void *, size_t, off_t)
PUT(pwrite64, (int fd, const void *data, size_t length, off64_t at), (fd, data, length / 2, at), (fd, data, length, at), int, const void *, size_t, off64_t)

#define ROOM(name, type) \
    int name(const char *path, struct type *state) { \
        REAL(int, name, const char *, struct type *) \
        int result = real(path, state); \
        if (!result && room >= 0) state->f_bavail = state->f_bfree = room / state->f_frsize; \
        return result; \
    }
ROOM(statvfs, statvfs)
ROOM(statvfs64, statvfs64)

/* Folders from the last entry to the first: every entry is read at the first call. */
static struct { DIR *folder; struct dirent64 *entries; int left; } listings[64];

struct dirent64 *readdir64(DIR *folder) {
    static struct dirent64 *(*real)(DIR *);
    if (!real) real = (struct dirent64 *(*)(DIR *))dlsym(RTLD_NEXT, "readdir64");
    if (!reversed) return real(folder);
    int slot = 0, empty = -1;
    while (slot < 64 && listings[slot].folder != folder) {
        if (!listings[slot].folder && empty < 0) empty = slot;
        slot++;
    }
    if (slot == 64) {
        if (empty < 0) return real(folder);
        slot = empty;
        listings[slot].folder = folder;
        listings[slot].entries = NULL;
        listings[slot].left = 0;
        for (struct dirent64 *one; (one = real(folder));) {
            int n = listings[slot].left++;
            listings[slot].entries = realloc(listings[slot].entries, (n + 1) * sizeof *one);
            memcpy(&listings[slot].entries[n], one, one->d_reclen);
        }
    }
    return listings[slot].left ? &listings[slot].entries[--listings[slot].left] : NULL;
}

int closedir(DIR *folder) {
    REAL(int, closedir, DIR *)
    for (int slot = 0; slot < 64; slot++)
        if (listings[slot].folder == folder) { free(listings[slot].entries); listings[slot].folder = NULL; }
    return real(folder);
}

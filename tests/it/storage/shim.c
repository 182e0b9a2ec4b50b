/* Makes calls on files of one directory fail: loaded into a process with LD_PRELOAD.
 *
 * STORAGE_FAULT_DIRECTORY  the directory, without symbolic links; other files are left alone
 * STORAGE_FAULT_COUNT      a file that holds how many calls there were so far, as a 64-bit number
 * STORAGE_FAULT_AT         the number of the call that fails, from 1; every call that changes something counts
 * STORAGE_FAULT_KIND       EIO, ENOSPC: the call fails so; KILL: the process ends before it, TORN: in the middle of it
 * STORAGE_FAULT_STICKY     set: all later calls fail, too
 * STORAGE_FAULT_SWITCH     a file; while its text is EROFS, ENOSPC or EACCES, every such call fails so; an end of file
 *                          names after a space (ENOSPC -wal) leaves the others alone
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define REAL(result, name, ...)                                        \
    static result (*real)(__VA_ARGS__);                                \
    if (!real)                                                         \
        real = (result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

static _Atomic uint64_t calls;

static int real_open(const char *path, int flags, int mode) {
    REAL(int, open, const char *, int, ...);
    return real(path, flags, mode);
}

static ssize_t real_pwrite(int fd, const void *data, size_t size, off_t at) {
    REAL(ssize_t, pwrite, int, const void *, size_t, off_t);
    return real(fd, data, size, at);
}

static int inside(const char *path) {
    const char *directory = getenv("STORAGE_FAULT_DIRECTORY");
    if (!directory || !path)
        return 0;
    size_t length = strlen(directory);
    return strncmp(path, directory, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

/* The path of an open file, if that is inside. */
static const char *path_of(int fd, char path[4096]) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, 4095);
    if (length < 0)
        return NULL;
    path[length] = '\0';
    return inside(path) ? path : NULL;
}

static int ends_with(const char *text, const char *end) {
    size_t length = strlen(text), wanted = strlen(end);
    return length >= wanted && strcmp(text + length - wanted, end) == 0;
}

static int number_of(const char *name) {
    if (strncmp(name, "EROFS", 5) == 0)
        return EROFS;
    if (strncmp(name, "ENOSPC", 6) == 0)
        return ENOSPC;
    if (strncmp(name, "EACCES", 6) == 0)
        return EACCES;
    return strncmp(name, "EIO", 3) == 0 ? EIO : 0;
}

static int switched(const char *path) {
    const char *file = getenv("STORAGE_FAULT_SWITCH");
    if (!file)
        return 0;
    int fd = real_open(file, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    char text[32] = {0};
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    const char *end = strchr(text, ' ');
    return length > 0 && (!end || ends_with(path, end + 1)) ? number_of(text) : 0;
}

enum { GO = 0, TORN = -1 };

/* What becomes of a call on a file inside: GO, TORN, or an error number. */
static int outcome_of(const char *path) {
    int saved = errno, error = switched(path);
    if (error)
        return error;
    uint64_t number = atomic_fetch_add(&calls, 1) + 1;
    const char *count = getenv("STORAGE_FAULT_COUNT");
    if (count) {
        int fd = real_open(count, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd >= 0) {
            real_pwrite(fd, &number, sizeof number, 0);
            close(fd);
        }
    }
    errno = saved;
    const char *at = getenv("STORAGE_FAULT_AT"), *kind = getenv("STORAGE_FAULT_KIND");
    if (!at || !kind)
        return GO;
    uint64_t fails = strtoull(at, NULL, 10);
    if (number != fails && !(number > fails && getenv("STORAGE_FAULT_STICKY")))
        return GO;
    if (strcmp(kind, "KILL") == 0)
        raise(SIGKILL);
    return strcmp(kind, "TORN") == 0 ? TORN : number_of(kind);
}

#define PASS_OR_FAIL(inside_path)                                      \
    do {                                                               \
        const char *found_path = (inside_path);                        \
        int outcome = found_path ? outcome_of(found_path) : GO;           \
        if (outcome == TORN)                                           \
            raise(SIGKILL);                                            \
        if (outcome != GO) {                                           \
            errno = outcome;                                           \
            return -1;                                                 \
        }                                                              \
    } while (0)

#define WRITE(name, half, ...)                                         \
    do {                                                               \
        char buffer[4096];                                             \
        const char *path = path_of(fd, buffer);                        \
        int outcome = path ? outcome_of(path) : GO;                       \
        if (outcome == TORN) {                                         \
            half;                                                      \
            raise(SIGKILL);                                            \
        }                                                              \
        if (outcome != GO) {                                           \
            errno = outcome;                                           \
            return -1;                                                 \
        }                                                              \
        return real(__VA_ARGS__);                                      \
    } while (0)

ssize_t write(int fd, const void *data, size_t size) {
    REAL(ssize_t, write, int, const void *, size_t);
    WRITE(write, real(fd, data, size / 2), fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    REAL(ssize_t, pwrite, int, const void *, size_t, off_t);
    WRITE(pwrite, real(fd, data, size / 2, at), fd, data, size, at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
    WRITE(pwrite64, real(fd, data, size / 2, at), fd, data, size, at);
}

#define ON_FD(name, declared, ...)                                     \
    int name declared {                                                \
        static int(*real) declared;                                    \
        if (!real)                                                     \
            real = (int(*) declared)dlsym(RTLD_NEXT, #name);           \
        char buffer[4096];                                             \
        PASS_OR_FAIL(path_of(fd, buffer));                             \
        return real(__VA_ARGS__);                                      \
    }

ON_FD(fsync, (int fd), fd)
ON_FD(fdatasync, (int fd), fd)
ON_FD(ftruncate, (int fd, off_t size), fd, size)
ON_FD(ftruncate64, (int fd, off64_t size), fd, size)
ON_FD(fallocate, (int fd, int mode, off_t at, off_t size), fd, mode, at, size)
ON_FD(fallocate64, (int fd, int mode, off64_t at, off64_t size), fd, mode, at, size)
ON_FD(fchmod, (int fd, mode_t mode), fd, mode)

#define ON_PATH(name, declared, ...)                                   \
    int name declared {                                                \
        static int(*real) declared;                                    \
        if (!real)                                                     \
            real = (int(*) declared)dlsym(RTLD_NEXT, #name);           \
        PASS_OR_FAIL(inside(path) ? path : NULL);                      \
        return real(__VA_ARGS__);                                      \
    }

ON_PATH(unlink, (const char *path), path)
ON_PATH(chmod, (const char *path, mode_t mode), path, mode)
ON_PATH(rename, (const char *path, const char *to), path, to)

int mkdir(const char *path, mode_t mode) {
    REAL(int, mkdir, const char *, mode_t);
    struct stat found;
    /* One that is there is always said to be there. */
    PASS_OR_FAIL(inside(path) && stat(path, &found) != 0 ? path : NULL);
    return real(path, mode);
}

/* Opening counts where it makes a file; without room or rights a file that is there can still be read. */
static int changes(const char *path, int flags) {
    struct stat found;
    if (!inside(path))
        return 0;
    if ((flags & O_CREAT) && stat(path, &found) != 0)
        return outcome_of(path);
    int error = (flags & O_ACCMODE) == O_RDONLY ? 0 : switched(path);
    return error == ENOSPC ? 0 : error;
}

#define OPEN(name)                                                     \
    int name(const char *path, int flags, ...) {                       \
        REAL(int, name, const char *, int, ...);                       \
        va_list rest;                                                  \
        va_start(rest, flags);                                         \
        int mode = (flags & O_CREAT) ? va_arg(rest, int) : 0;          \
        va_end(rest);                                                  \
        int outcome = changes(path, flags);                            \
        if (outcome == TORN)                                           \
            raise(SIGKILL);                                            \
        if (outcome != GO) {                                           \
            errno = outcome;                                           \
            return -1;                                                 \
        }                                                              \
        return real(path, flags, mode);                                \
    }

OPEN(open)
OPEN(open64)

/* Loaded before the C library: as long as the file named by HONGYAN_EIO is there, nothing is written to the database's files, and nothing
   is flushed, but every attempt fails with EIO. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int fails(int fd) {
    const char *trigger = getenv("HONGYAN_EIO");
    char link[64], path[4096];
    ssize_t length;
    if (trigger == NULL || access(trigger, F_OK) != 0)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return strstr(path, "hongyan.db") != NULL;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define GUARD(fd)        \
    if (fails(fd)) {     \
        errno = EIO;     \
        return -1;       \
    }

ssize_t write(int fd, const void *bytes, size_t count) { GUARD(fd) return NEXT(write)(fd, bytes, count); }
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) { GUARD(fd) return NEXT(pwrite)(fd, bytes, count, at); }
ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) { GUARD(fd) return NEXT(pwrite64)(fd, bytes, count, at); }
int fsync(int fd) { GUARD(fd) return NEXT(fsync)(fd); }
int fdatasync(int fd) { GUARD(fd) return NEXT(fdatasync)(fd); }

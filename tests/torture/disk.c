/* Loaded before the C library: what becomes of the database's files.

   As long as the file named by HONGYAN_EIO is there, nothing is written to them, and nothing is flushed, but every attempt fails with EIO.
   Every flush of them takes so many milliseconds longer as the file named by HONGYAN_SLOW says at its beginning. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static int is_database(int fd) {
    char link[64], path[4096];
    ssize_t length;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return strstr(path, "hongyan.db") != NULL;
}

static int fails(int fd) {
    const char *trigger = getenv("HONGYAN_EIO");
    return trigger != NULL && access(trigger, F_OK) == 0 && is_database(fd);
}

static void waits(int fd) {
    const char *name = getenv("HONGYAN_SLOW");
    struct timespec left;
    long ms = 0;
    FILE *file;
    if (name == NULL || !is_database(fd) || (file = fopen(name, "r")) == NULL)
        return;
    if (fscanf(file, "%ld", &ms) != 1)
        ms = 0;
    fclose(file);
    left.tv_sec = ms / 1000;
    left.tv_nsec = ms % 1000 * 1000000;
    while (nanosleep(&left, &left) == -1 && errno == EINTR)
        ;
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
int fsync(int fd) { GUARD(fd) waits(fd); return NEXT(fsync)(fd); }
int fdatasync(int fd) { GUARD(fd) waits(fd); return NEXT(fdatasync)(fd); }

/* A disk and a clock that fail on demand, preloaded into the daemon (see faults.py, which steers it).

   FKS_FAULTS   the file that holds `struct control`, mapped by both sides
   FKS_DISK     the folder whose files are concerned, without a slash at its end
   FKS_PLATTER  where the files go that were synced, as they were then: what a power cut would leave

   cc -O1 -shared -fPIC -o faults.so faults.c -ldl */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { HONEST, FAILS, LIES, HANGS }; /* of `sync` */

struct control {
    volatile int64_t clock_ns;    /* added to the wall clock */
    volatile int64_t sync;        /* what becomes of fsync and fdatasync */
    volatile int64_t full;        /* 1: no space left for any write */
    volatile int64_t stop_after;  /* n: stop this process after the n-th sync from now; 0: never */
    volatile int64_t kill_before; /* n: kill this process before the n-th write or sync from now; 0: never */
    volatile int64_t writes;      /* writes and syncs so far */
};

static struct control nothing, *control = &nothing;
static const char *disk, *platter;
static int (*real_fsync)(int), (*real_fdatasync)(int);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_clock_gettime)(clockid_t, struct timespec *);
static int (*real_gettimeofday)(struct timeval *restrict, void *restrict);

__attribute__((constructor)) static void prepare(void) {
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_write = dlsym(RTLD_NEXT, "write");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    real_gettimeofday = dlsym(RTLD_NEXT, "gettimeofday");
    disk = getenv("FKS_DISK");
    platter = getenv("FKS_PLATTER");
    const char *file = getenv("FKS_FAULTS");
    int fd = file ? open(file, O_RDWR) : -1;
    if (fd >= 0) {
        void *page = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (page != MAP_FAILED) control = page;
        close(fd);
    }
}

/* The path of a file on that disk, else NULL. The index in shared memory is no file of the disk. */
static const char *on_disk(int fd, char *path, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = disk ? readlink(link, path, size - 1) : -1;
    if (n < 0) return NULL;
    path[n] = 0;
    if (strncmp(path, disk, strlen(disk)) || strstr(path, "-shm")) return NULL;
    return path;
}

static int is_disk(const char *path) { return !strcmp(path, disk); }

static void count(void) {
    control->writes++;
    if (control->kill_before && --control->kill_before == 0) raise(SIGKILL);
}

/* The whole file as it is now, under its name only once it is complete. */
static void keep(const char *path) {
    char to[4096], part[4200], block[65536];
    const char *name = strrchr(path, '/');
    snprintf(to, sizeof to, "%s%s", platter, name);
    snprintf(part, sizeof part, "%s.part", to);
    int in = open(path, O_RDONLY), out = open(part, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    off_t at = 0;
    for (ssize_t n; in >= 0 && out >= 0 && (n = pread(in, block, sizeof block, at)) > 0; at += n)
        if (real_pwrite(out, block, (size_t)n, at) != n) abort();
    if (in >= 0) close(in);
    if (out >= 0) close(out);
    rename(part, to);
}

/* A synced folder: what was removed from it is gone. New names are taken for granted with their file. */
static void forget_removed(void) {
    char path[4096];
    DIR *folder = opendir(platter);
    for (struct dirent *one; folder && (one = readdir(folder));) {
        snprintf(path, sizeof path, "%s/%s", disk, one->d_name);
        if (one->d_name[0] != '.' && access(path, F_OK)) unlinkat(dirfd(folder), one->d_name, 0);
    }
    if (folder) closedir(folder);
}

static int synced(int fd, int (*sync)(int)) {
    char buffer[4096];
    const char *path = on_disk(fd, buffer, sizeof buffer);
    if (!path) return sync(fd);
    count();
    while (control->sync == HANGS) usleep(20000);
    if (control->sync == FAILS) {
        errno = EIO;
        return -1;
    }
    int result = sync(fd);
    if (!result && platter && control->sync == HONEST) is_disk(path) ? forget_removed() : keep(path);
    if (control->stop_after && --control->stop_after == 0) raise(SIGSTOP);
    return result;
}

int fsync(int fd) { return synced(fd, real_fsync); }
int fdatasync(int fd) { return synced(fd, real_fdatasync); }

static int refused(int fd) {
    char buffer[4096];
    if (!on_disk(fd, buffer, sizeof buffer)) return 0;
    count();
    if (!control->full) return 0;
    errno = ENOSPC;
    return 1;
}

ssize_t write(int fd, const void *data, size_t n) { return refused(fd) ? -1 : real_write(fd, data, n); }
ssize_t pwrite64(int fd, const void *data, size_t n, off_t at) {
    return refused(fd) ? -1 : real_pwrite(fd, data, n, at);
}
ssize_t pwrite(int fd, const void *data, size_t n, off_t at) { return pwrite64(fd, data, n, at); }

static const int64_t SECOND = 1000000000;

static int is_wall(clockid_t clock) { return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE; }

int clock_gettime(clockid_t clock, struct timespec *to) {
    int result = real_clock_gettime(clock, to);
    if (!result && is_wall(clock)) {
        int64_t ns = to->tv_sec * SECOND + to->tv_nsec + control->clock_ns;
        to->tv_sec = ns / SECOND;
        to->tv_nsec = ns % SECOND;
    }
    return result;
}

int gettimeofday(struct timeval *restrict to, void *restrict zone) {
    int result = real_gettimeofday(to, zone);
    if (!result) {
        int64_t us = to->tv_sec * 1000000L + to->tv_usec + control->clock_ns / 1000;
        to->tv_sec = us / 1000000;
        to->tv_usec = us % 1000000;
    }
    return result;
}

time_t time(time_t *to) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (to) *to = now.tv_sec;
    return now.tv_sec;
}

/* Lets Janus use the loopback interface for media.
 *
 * Janus leaves out every interface marked as loopback, so that a bridge on one
 * machine, for a trial or a test, could never be reached. Loaded in front of
 * the C library (LD_PRELOAD), this takes the mark off. Not for production.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <ifaddrs.h>
#include <net/if.h>

int getifaddrs(struct ifaddrs **list) {
    int (*real)(struct ifaddrs **) = dlsym(RTLD_NEXT, "getifaddrs");
    int failed = real(list);
    if (!failed) {
        for (struct ifaddrs *one = *list; one; one = one->ifa_next) one->ifa_flags &= ~IFF_LOOPBACK;
    }
    return failed;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox/filter.c - the system calls a child is refused.
 *
 * A list of what is refused and not of what is allowed: git and decoders come from the
 * distribution and change what they call with each release. Refused is what reaches other
 * processes, the kernel's rare corners, or a network; they get EPERM and no signal, so that a
 * library that merely tries goes on.
 *
 * For:     sandbox_open.
 * Threads: called once. */
#include "sandbox/sandbox_int.h"

#include <errno.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

static const int refused[] = {
    SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(kcmp),
    SCMP_SYS(pidfd_getfd),
    /* networks and other machines */
    SCMP_SYS(socket), SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(listen), SCMP_SYS(accept),
    SCMP_SYS(accept4),
    /* the shape of the system */
    SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(chroot), SCMP_SYS(unshare),
    SCMP_SYS(setns), SCMP_SYS(fsopen), SCMP_SYS(fsmount), SCMP_SYS(move_mount), SCMP_SYS(open_tree),
    SCMP_SYS(name_to_handle_at), SCMP_SYS(open_by_handle_at), SCMP_SYS(swapon), SCMP_SYS(swapoff),
    SCMP_SYS(reboot), SCMP_SYS(sethostname), SCMP_SYS(setdomainname), SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime), SCMP_SYS(adjtimex), SCMP_SYS(quotactl), SCMP_SYS(acct),
    SCMP_SYS(syslog), SCMP_SYS(iopl), SCMP_SYS(ioperm), SCMP_SYS(mknod), SCMP_SYS(mknodat),
    /* rare corners where kernels were broken before */
    SCMP_SYS(bpf), SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd), SCMP_SYS(io_uring_setup),
    SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register), SCMP_SYS(keyctl), SCMP_SYS(add_key),
    SCMP_SYS(request_key), SCMP_SYS(kexec_load), SCMP_SYS(kexec_file_load), SCMP_SYS(init_module),
    SCMP_SYS(finit_module), SCMP_SYS(delete_module), SCMP_SYS(personality), SCMP_SYS(vmsplice)};

/* libseccomp writes the program to a descriptor; it is kept as memory for every child. */
static snug_status export_filter(sandbox *s, scmp_filter_ctx ctx, snug_err *err)
{
    SNUG_AUTO(snug_fd) f = {memfd_create("snug-filter", MFD_CLOEXEC)};
    if (f.fd < 0) return snug_fail_sys(err, errno, "memfd_create");
    int rc = seccomp_export_bpf(ctx, f.fd);
    if (rc != 0) return snug_fail_sys(err, -rc, "seccomp_export_bpf");
    off_t size = lseek(f.fd, 0, SEEK_END);
    if (size <= 0 || (size_t)size > sizeof s->filter || (size_t)size % sizeof s->filter[0] != 0)
        return snug_fail_sys(err, EINVAL, "a system call filter of %lld bytes", (long long)size);
    s->filter_count = (size_t)size / sizeof s->filter[0];
    return snug_pread_all(f.fd, s->filter, (size_t)size, 0, err);
}

snug_status sandbox_make_filter(sandbox *s, snug_err *err)
{
    snug_status     st = SNUG_OK;
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);

    if (ctx == NULL) return snug_fail_sys(err, ENOMEM, "seccomp_init");
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        if (refused[i] < 0) continue; /* not a call of this processor */
        int rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), refused[i], 0);
        if (rc != 0) {
            st = snug_fail_sys(err, -rc, "seccomp_rule_add %d", refused[i]);
            goto done;
        }
    }
    SNUG_TRY(export_filter(s, ctx, err));
done:
    seccomp_release(ctx);
    return st;
}

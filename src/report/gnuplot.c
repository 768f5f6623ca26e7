/*
 * Talking to gnuplot.
 *
 * The script goes in and the pictures come out at the same time, so both ends
 * are watched with poll: writing all of the script first could block for ever
 * while gnuplot waits for us to read. Its standard input is a socket rather
 * than a pipe, because send() can be told not to raise SIGPIPE when gnuplot
 * ends early; a library must not change the signals of its program.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report/gnuplot.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PATIENCE = 60000,            /* milliseconds without a sign of life */
    OUTPUT_LIMIT = 256 << 20,    /* bytes of pictures */
    COMPLAINT_LIMIT = 16 * 1024, /* bytes of its error messages */
};

typedef struct gnuplot_ends {
    int input[2];  /* ours, gnuplot's */
    int output[2]; /* ours (reading), gnuplot's */
    int errors[2];
    pid_t process;
} gnuplot_ends;

static void close_end(int *end)
{
    if (*end >= 0)
        close(*end);
    *end = -1;
}

static void close_all(gnuplot_ends *channel)
{
    for (int i = 0; i < 2; ++i) {
        close_end(&channel->input[i]);
        close_end(&channel->output[i]);
        close_end(&channel->errors[i]);
    }
}

/* Starts the program with our ends connected. Returns 0 or an errno. */
static int start(gnuplot_ends *channel, const char *program)
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel->input) != 0 ||
        pipe2(channel->output, O_CLOEXEC) != 0 || pipe2(channel->errors, O_CLOEXEC) != 0)
        return errno;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int code = posix_spawn_file_actions_init(&actions);
    if (code != 0)
        return code;
    if ((code = posix_spawnattr_init(&attributes)) != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return code;
    }
    sigset_t none, usual;
    sigemptyset(&none);
    sigemptyset(&usual);
    sigaddset(&usual, SIGPIPE);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &usual);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    /* -d: what the user keeps in ~/.gnuplot does not change our pictures. */
    char name[] = "gnuplot", defaults[] = "-d", standard[] = "-";
    char *arguments[] = {name, defaults, standard, NULL};
    if ((code = posix_spawn_file_actions_adddup2(&actions, channel->input[1], STDIN_FILENO)) == 0 &&
        (code = posix_spawn_file_actions_adddup2(&actions, channel->output[1], STDOUT_FILENO)) == 0 &&
        (code = posix_spawn_file_actions_adddup2(&actions, channel->errors[1], STDERR_FILENO)) == 0)
        code = posix_spawnp(&channel->process, program, &actions, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return code;
}

/* Reads what is there; closes the end at end of file. What goes beyond the limit is dropped (`strict`: is a failure).
 */
static int drain(int *end, report_text *into, size_t limit, bool strict)
{
    char bytes[65536];
    ssize_t size = read(*end, bytes, sizeof bytes);
    if (size < 0)
        return errno == EINTR || errno == EAGAIN ? 0 : errno;
    if (size == 0)
        close_end(end);
    else if (into->used + (size_t)size > limit)
        return strict ? EFBIG : 0;
    else
        report_bytes(into, bytes, (size_t)size);
    return into->failed ? ENOMEM : 0;
}

/* Sends some of the script; closes our end when it is all sent or no longer wanted. */
static int feed(int *end, const report_text *script, size_t *sent)
{
    ssize_t size = send(*end, script->bytes + *sent, script->used - *sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (size < 0 && (errno == EPIPE || errno == ECONNRESET)) {
        close_end(end); /* its exit status will tell */
        return 0;
    }
    if (size < 0)
        return errno == EINTR || errno == EAGAIN ? 0 : errno;
    *sent += (size_t)size;
    if (*sent == script->used)
        close_end(end);
    return 0;
}

/* Until gnuplot has closed both of its outputs. Returns 0 or an errno. */
static int converse(gnuplot_ends *channel, const report_text *script, report_text *output, report_text *complaints)
{
    size_t sent = 0;
    while (channel->output[0] >= 0 || channel->errors[0] >= 0) {
        struct pollfd ends[] = {{.fd = channel->input[0], .events = POLLOUT},
                                {.fd = channel->output[0], .events = POLLIN},
                                {.fd = channel->errors[0], .events = POLLIN}};
        int ready = poll(ends, 3, PATIENCE);
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            return ready < 0 ? errno : ETIMEDOUT;
        int code = 0;
        if (ends[0].revents)
            code = feed(&channel->input[0], script, &sent);
        if (code == 0 && ends[1].revents)
            code = drain(&channel->output[0], output, OUTPUT_LIMIT, true);
        if (code == 0 && ends[2].revents)
            code = drain(&channel->errors[0], complaints, COMPLAINT_LIMIT, false);
        if (code != 0)
            return code;
    }
    return 0;
}

/* The line of gnuplot's complaint that says most: the first "line N: ...", else the last that is not empty. */
static void last_line(const report_text *complaints, char line[200])
{
    line[0] = '\0';
    const char *at = complaints->bytes ? complaints->bytes : "";
    while (*at) {
        size_t length = strcspn(at, "\n");
        size_t blanks = strspn(at, " \t\f\r");
        if (blanks < length) {
            size_t size = length - blanks < 199 ? length - blanks : 199;
            memcpy(line, at + blanks, size);
            line[size] = '\0';
            if (strncmp(line, "line ", 5) == 0 || strstr(line, "\" line "))
                return;
        }
        at += length + (at[length] != '\0');
    }
}

static forage_status finish(gnuplot_ends *channel, int code, const report_text *complaints, forage_error *error)
{
    close_all(channel);
    if (code != 0)
        kill(channel->process, SIGKILL);
    int status = 0;
    while (waitpid(channel->process, &status, 0) < 0)
        if (errno != EINTR)
            return forage_fail(error, FORAGE_IO, "gnuplot was lost: %s", strerror(errno));
    if (code == ENOMEM)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for what gnuplot draws");
    if (code != 0)
        return forage_fail(error, FORAGE_IO, "gnuplot does not answer: %s", strerror(code));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return FORAGE_OK;
    char line[200];
    last_line(complaints, line);
    return forage_fail(error, FORAGE_IO, "gnuplot failed: %s", line[0] ? line : "it gave no reason");
}

forage_status report_gnuplot(const char *program, const report_text *script, report_text *output, forage_error *error)
{
    if (script->failed)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for a chart");
    gnuplot_ends channel = {.input = {-1, -1}, .output = {-1, -1}, .errors = {-1, -1}};
    if (!program)
        program = "gnuplot";
    int code = start(&channel, program);
    if (code != 0) {
        close_all(&channel);
        if (code == ENOENT || code == EACCES || code == ENOTDIR)
            return forage_fail(error, FORAGE_UNSUPPORTED,
                               "charts need the program gnuplot (tried '%s': %s); on Debian or Ubuntu: apt-get install "
                               "gnuplot-nox",
                               program, strerror(code));
        return forage_fail(error, FORAGE_IO, "cannot start %s: %s", program, strerror(code));
    }
    close_end(&channel.input[1]);
    close_end(&channel.output[1]);
    close_end(&channel.errors[1]);
    report_text complaints = {0};
    code = script->used > 0 ? converse(&channel, script, output, &complaints) : 0;
    forage_status status = finish(&channel, code, &complaints, error);
    report_text_release(&complaints);
    return status;
}

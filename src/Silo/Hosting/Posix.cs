using System.Runtime.InteropServices;

namespace OrleansCache.Silo.Hosting;

/// <summary>The few calls of the C library that memcached's process options need and .NET does not offer. Results below 0 leave the reason in errno.</summary>
internal static partial class Posix
{
    public const int ResourceCore = 4;

    /// <summary>SIGUSR1; it has another number on macOS.</summary>
    public static int SignalUser1 => OperatingSystem.IsMacOS() ? 30 : 10;

    /// <summary>MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT: pages are locked as they are touched, so that the runtime's large reservations cost nothing.</summary>
    public const int LockAllOnFault = 1 | 2 | 4;

    /// <summary>RLIM_INFINITY.</summary>
    public const ulong Unlimited = ulong.MaxValue;

    /// <summary>RLIMIT_NOFILE; it has another number on macOS.</summary>
    public static int ResourceFiles => OperatingSystem.IsMacOS() ? 8 : 7;

    public static string LastError => Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError());

    /// <summary>
    /// A shell starts background jobs of a script with SIGINT ignored, nohup starts everything with SIGHUP ignored, and the runtime leaves a signal alone that
    /// is. memcached handles both even then. The handler is the first field of struct sigaction on Linux; SIG_IGN is 1, SIG_DFL 0.
    /// </summary>
    public static unsafe void StopIgnoringSignals()
    {
        const int HangUp = 1, Interrupt = 2;
        if (!OperatingSystem.IsLinux())
            return;
        nint* action = stackalloc nint[64];
        foreach (int signal in (ReadOnlySpan<int>)[HangUp, Interrupt])
        {
            if (GetAction(signal, null, action) == 0 && action[0] == 1)
                _ = SetHandler(signal, 0);
        }
    }

    [LibraryImport("libc", EntryPoint = "sigaction")]
    private static unsafe partial int GetAction(int signal, nint* set, nint* old);

    [LibraryImport("libc", EntryPoint = "signal")]
    private static partial nint SetHandler(int signal, nint handler);

    [LibraryImport("libc", EntryPoint = "geteuid")]
    public static partial uint EffectiveUser();

    /// <summary>Ends the process without running anything of it any more.</summary>
    [LibraryImport("libc", EntryPoint = "_exit")]
    public static partial void ExitAtOnce(int code);

    [LibraryImport("libc", EntryPoint = "setsid", SetLastError = true)]
    public static partial int NewSession();

    [LibraryImport("libc", EntryPoint = "dup2", SetLastError = true)]
    public static partial int Duplicate(int from, int to);

    [LibraryImport("libc", EntryPoint = "mlockall", SetLastError = true)]
    public static partial int LockAll(int flags);

    [LibraryImport("libc", EntryPoint = "getrlimit", SetLastError = true)]
    public static partial int GetLimit(int resource, out ResourceLimit limit);

    [LibraryImport("libc", EntryPoint = "setrlimit", SetLastError = true)]
    public static partial int SetLimit(int resource, in ResourceLimit limit);

    [LibraryImport("libc", EntryPoint = "getpwnam", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static unsafe partial PasswordEntry* FindUser(string name);

    [LibraryImport("libc", EntryPoint = "setgroups", SetLastError = true)]
    public static unsafe partial int SetGroups(nuint count, uint* groups);

    [LibraryImport("libc", EntryPoint = "setgid", SetLastError = true)]
    public static partial int SetGroup(uint group);

    [LibraryImport("libc", EntryPoint = "setuid", SetLastError = true)]
    public static partial int SetUser(uint user);

    /// <summary>struct rlimit on 64-bit systems.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct ResourceLimit
    {
        public ulong Soft;
        public ulong Hard;
    }

    /// <summary>The beginning of struct passwd, which is the same on Linux and macOS.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct PasswordEntry
    {
        public nint Name;
        public nint Password;
        public uint User;
        public uint Group;
    }
}

using OrleansCache.Silo.Options;

namespace OrleansCache.Silo.Hosting;

/// <summary>What memcached does to its own process before it serves: limits, user, locked memory. In memcached's order, with its words.</summary>
internal static class ProcessSetup
{
    public static void Apply(ServeOptions options)
    {
        if (OperatingSystem.IsWindows())
        {
            if (options.User is not null || options.LockMemory || options.CoreDumps)
                Console.Error.WriteLine("warning: -u, -k and -r have no effect on this system");
            return;
        }

        if (options.CoreDumps)
            RaiseCoreLimit();
        EnsureFileLimit(options);
        if (options.User is not null && Posix.EffectiveUser() == 0)
            BecomeUser(options.User);
        if (options.LockMemory && Posix.LockAll(Posix.LockAllOnFault) != 0)
            Console.Error.WriteLine($"warning: -k invalid, mlockall() failed: {Posix.LastError}");
    }

    /// <summary>The HTTP port's connections, and a few for what it opens itself.</summary>
    private const int HttpDescriptors = 140;

    private static void RaiseCoreLimit()
    {
        var unlimited = new Posix.ResourceLimit { Soft = Posix.Unlimited, Hard = Posix.Unlimited };
        if (Posix.SetLimit(Posix.ResourceCore, unlimited) != 0 && Posix.GetLimit(Posix.ResourceCore, out Posix.ResourceLimit limit) == 0)
            _ = Posix.SetLimit(Posix.ResourceCore, new Posix.ResourceLimit { Soft = limit.Hard, Hard = limit.Hard });
        if (Posix.GetLimit(Posix.ResourceCore, out Posix.ResourceLimit reached) != 0 || reached.Soft == 0)
            throw new StartException(ExitCode.OperatingSystem, "failed to ensure corefile creation");
    }

    /// <summary>
    /// The runtime has raised the soft limit to the hard one already; what is missing beyond it only root can give. What the process needs itself comes
    /// first: -c gets what is left, as in memcached, so that clients alone never use the descriptors up.
    /// </summary>
    private static void EnsureFileLimit(ServeOptions options)
    {
        int connectionsMax = options.ConnectionsMax;
        int own = options.ReservedDescriptors = OwnDescriptors(options);
        if (Posix.GetLimit(Posix.ResourceFiles, out Posix.ResourceLimit limit) != 0)
            throw new StartException(ExitCode.OperatingSystem, "failed to getrlimit number of files");
        ulong wanted = (ulong)connectionsMax + (ulong)own;
        if (limit.Soft >= wanted)
            return;
        var raised = new Posix.ResourceLimit { Soft = wanted, Hard = Math.Max(limit.Hard, wanted) };
        if (Posix.SetLimit(Posix.ResourceFiles, raised) == 0)
            return;

        if (limit.Soft < (ulong)connectionsMax || limit.Soft <= (ulong)own)
        {
            throw new StartException(
                ExitCode.OperatingSystem,
                "failed to set rlimit for open files. Try starting as root or requesting smaller maxconns value.");
        }

        options.ConnectionsMax = (int)(limit.Soft - (ulong)own);
        Console.Error.WriteLine(Values.Invariant(
            $"WARNING: the limit of open files, {limit.Soft}, has room for {options.ConnectionsMax} connections, not for {connectionsMax} (-c)"));
    }

    /// <summary>
    /// The runtime and its assemblies hold some 80, each I/O loop 2 and one for each UDP address, and there must be some for what opens now and then: files
    /// that are read again, new threads, connections that are refused. A silo talks to all the others and to the gateways that run alone.
    /// </summary>
    private static int OwnDescriptors(ServeOptions options) =>
        (options.WantsCluster ? 256 : 120) + (4 * options.Threads) + (options.HttpHost is null ? 0 : HttpDescriptors);

    private static unsafe void BecomeUser(string name)
    {
        Posix.PasswordEntry* entry = Posix.FindUser(name);
        if (entry is null)
            throw new StartException(ExitCode.NoUser, $"can't find the user {name} to switch to");
        (uint user, uint group) = (entry->User, entry->Group);
        if (user == 0)
            return;
        if (Posix.SetGroups(0, null) != 0)
            throw new StartException(ExitCode.OperatingSystem, $"failed to drop supplementary groups: {Posix.LastError}");
        if (Posix.SetGroup(group) != 0 || Posix.SetUser(user) != 0)
            throw new StartException(ExitCode.OperatingSystem, $"failed to assume identity of user {name}");

        // Assemblies are loaded when they are first needed: a user who cannot read them would fail later, at an odd place.
        try
        {
            // A package is one file; the launcher runs `dotnet OrleansCache.dll`.
            string dll = Path.Combine(AppContext.BaseDirectory, "OrleansCache.dll");
            using FileStream own = File.OpenRead(File.Exists(dll) ? dll : Environment.ProcessPath!);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new StartException(ExitCode.OperatingSystem, $"the user {name} cannot read {AppContext.BaseDirectory}, where this program lies", exception);
        }
    }
}

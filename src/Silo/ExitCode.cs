namespace OrleansCache.Silo;

/// <summary>The exit codes of the process: those of sysexits.h, as memcached uses them.</summary>
internal static class ExitCode
{
    public const int Ok = 0;

    /// <summary>EXIT_FAILURE: what memcached ends with when it cannot use the file of -Y.</summary>
    public const int Failure = 1;

    /// <summary>EX_USAGE: the command line, an environment variable or the settings file is wrong.</summary>
    public const int Usage = 64;

    /// <summary>EX_NOUSER: the user of -u does not exist.</summary>
    public const int NoUser = 67;

    /// <summary>EX_UNAVAILABLE: the cluster or its membership store cannot be reached.</summary>
    public const int Unavailable = 69;

    /// <summary>EX_SOFTWARE: a defect of the product.</summary>
    public const int Software = 70;

    /// <summary>EX_OSERR: the operating system refused (a port in use, a limit, a right that is missing).</summary>
    public const int OperatingSystem = 71;

    /// <summary>EX_TEMPFAIL: the cluster has declared this silo dead while it was frozen or cut off; started again, it joins anew.</summary>
    public const int Evicted = 75;

    /// <summary>128 + SIGINT, as a shell reports it: a second signal ended a stop that was still running.</summary>
    public const int Interrupted = 130;
}

/// <summary>The process cannot start. The message is for a person, complete and without a stack trace.</summary>
internal sealed class StartException : Exception
{
    public StartException(int exitCode, string message, Exception? innerException = null)
        : base(message, innerException) => Code = exitCode;

    public int Code { get; }

    public static StartException Usage(string message) => new(ExitCode.Usage, message);
}

namespace OrleansCache.Cli;

/// <summary>A command ends, with an exit code and one line for a person.</summary>
internal sealed class CliException(int exitCode, string message, Exception? innerException = null) : Exception(message, innerException)
{
    public int ExitCode => exitCode;

    /// <summary>EX_USAGE.</summary>
    public static CliException Usage(string message) => new(64, message);

    /// <summary>EX_UNAVAILABLE: the server cannot be reached, or does not answer.</summary>
    public static CliException Unavailable(string message, Exception? innerException = null) => new(69, message, innerException);

    /// <summary>The server has refused.</summary>
    public static CliException Refused(string message) => new(1, message);
}

using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using OrleansCache.Silo.Options;

namespace OrleansCache.Silo.Hosting;

/// <summary>
/// Where a silo keeps its part of the membership: --data-dir, or else a directory of its own by cluster, silo port and --advertise, below the state
/// directory of the service manager or the user. One that was not asked for must not keep a silo from starting: without a place to write it is kept in
/// memory, and a line says so.
/// </summary>
internal static class StateDirectory
{
    /// <summary>The value of --data-dir for none.</summary>
    public const string None = "none";

    /// <summary>Null: nothing is kept.</summary>
    public static string? Find(ServeOptions options, Func<string, string?> environment, out string? warning)
    {
        warning = null;
        if (options.DataDirectory is { } given)
            return given == None ? null : Path.GetFullPath(given);
        if (Base(environment) is not { } state)
        {
            warning = Warning("no STATE_DIRECTORY, XDG_STATE_HOME or HOME says where");
            return null;
        }

        string directory = Path.Combine(state, Name(options));
        try
        {
            Directory.CreateDirectory(directory);
            using (File.Open(Path.Combine(directory, ".writable"), FileMode.OpenOrCreate, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete))
            {
            }

            File.Delete(Path.Combine(directory, ".writable"));
            return directory;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            warning = Warning(exception.Message.TrimEnd('.'));
            return null;
        }
    }

    private static string Warning(string reason) =>
        $"WARNING: this silo's part of the membership is kept in memory only ({reason}): started again, it joins as a new one. --data-dir names a directory";

    private static string? Base(Func<string, string?> environment)
    {
        // systemd's; several are separated by colons.
        if (environment("STATE_DIRECTORY")?.Split(':')[0] is { Length: > 0 } service)
            return service;
        if (environment("XDG_STATE_HOME") is { Length: > 0 } state && Path.IsPathRooted(state))
            return Path.Combine(state, "orleanscache");
        return environment("HOME") is { Length: > 0 } home && Path.IsPathRooted(home) ? Path.Combine(home, ".local", "state", "orleanscache")
            : OperatingSystem.IsWindows() && environment("LOCALAPPDATA") is { Length: > 0 } local ? Path.Combine(local, "OrleansCache") : null;
    }

    private static string Name(ServeOptions options)
    {
        string name = string.Create(CultureInfo.InvariantCulture, $"{options.ClusterId}-{options.SiloPort}");
        if (options.AdvertisedHost is { } host)
            name += "-" + host;
        string plain = string.Concat(name.Select(letter => char.IsAsciiLetterOrDigit(letter) || letter is '-' or '_' or '.' ? letter : '_'));
        return plain == name && plain.Length <= 120 ? plain
            : plain[..Math.Min(plain.Length, 100)] + "-" + Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(name)))[..12];
    }
}

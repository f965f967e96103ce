using System.Globalization;

namespace OrleansCache.Conformance;

/// <summary>A test that opens many connections; it is skipped where the limit of open files does not permit that.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class OpenFilesFactAttribute : FactAttribute
{
    public OpenFilesFactAttribute(int openFiles)
    {
        OpenFiles = openFiles;
        int permitted = Permitted();
        if (permitted < openFiles)
            Skip = string.Create(CultureInfo.InvariantCulture, $"needs {openFiles} open files, the limit here (RLIMIT_NOFILE) is {permitted}");
    }

    public int OpenFiles { get; }

    private static int Permitted()
    {
        // .NET has raised the soft limit to the hard one when this runs, and the server inherits it.
        const string Name = "Max open files";
        string line = File.ReadLines("/proc/self/limits").First(line => line.StartsWith(Name, StringComparison.Ordinal));
        string soft = line[Name.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries)[0];
        return soft == "unlimited" ? int.MaxValue : int.Parse(soft, CultureInfo.InvariantCulture);
    }
}

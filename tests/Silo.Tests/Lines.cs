using OrleansCache.Silo.Options;

namespace OrleansCache.Silo.Tests;

/// <summary>Command lines as text.</summary>
internal static class Lines
{
    public static string[] Split(string line) => line.Split(' ', StringSplitOptions.RemoveEmptyEntries);

    /// <summary>Reads a line as a build with cluster support would, with these environment variables and no others.</summary>
    public static ServeOptions Read(string line, params (string Name, string Value)[] environment) =>
        OptionReader.Read(Split(line), name => environment.FirstOrDefault(variable => variable.Name == name).Value, hasCluster: true);
}

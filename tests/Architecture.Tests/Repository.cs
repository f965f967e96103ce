using System.Xml.Linq;

namespace OrleansCache.Architecture.Tests;

/// <summary>The repository's own sources, as data.</summary>
internal static class Repository
{
    public static string Root => Testing.Repository.Root;

    /// <summary>All project files below src/ and tests/ (and bench/, if there is one), without build output.</summary>
    public static IReadOnlyList<Project> Projects { get; } =
        [.. new[] { "src", "tests", "bench" }.SelectMany(folder => Files(folder, "*.csproj")).Select(path => new Project(path))];

    /// <summary>max_line_length of .editorconfig.</summary>
    public static int LineLengthMax { get; } = int.Parse(
        File.ReadLines(Path.Combine(Root, ".editorconfig")).Single(line => line.StartsWith("max_line_length", StringComparison.Ordinal)).Split('=')[1],
        System.Globalization.CultureInfo.InvariantCulture);

    public static Project Room(string name) => Projects.Single(project => project.Folder == "src/" + name);

    public static IEnumerable<string> Files(string folder, string pattern)
    {
        string path = Path.Combine(Root, folder);
        if (!Directory.Exists(path))
            return [];
        return Directory.EnumerateFiles(path, pattern, SearchOption.AllDirectories)
            .Where(file => !Path.GetRelativePath(Root, file).Split('/', '\\').Any(part => part is "bin" or "obj" or "artifacts" or "node_modules"));
    }

    public static string Relative(string path) => Path.GetRelativePath(Root, path).Replace('\\', '/');
}

/// <summary>One project file, as far as the rules care.</summary>
internal sealed class Project
{
    public Project(string path)
    {
        Path = path;
        Xml = XDocument.Load(path);
    }

    public string Path { get; }

    public XDocument Xml { get; }

    /// <summary>Relative to the root, such as src/Gateway.</summary>
    public string Folder => Repository.Relative(System.IO.Path.GetDirectoryName(Path)!);

    public string Name => System.IO.Path.GetFileNameWithoutExtension(Path);

    /// <summary>Folders of the projects that it references.</summary>
    public IReadOnlyList<string> ProjectReferences =>
        [.. Include("ProjectReference").Select(include => Repository.Relative(System.IO.Path.GetFullPath(
            System.IO.Path.GetDirectoryName(include.Replace('\\', '/'))!,
            System.IO.Path.GetDirectoryName(Path)!)))];

    public IReadOnlyList<string> PackageReferences => [.. Include("PackageReference")];

    private IEnumerable<string> Include(string element) =>
        Xml.Descendants(element).Select(reference => (string?)reference.Attribute("Include")).OfType<string>();
}

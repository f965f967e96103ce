using System.Reflection;
using System.Text.Json;
using BenchmarkDotNet.Attributes;

namespace OrleansCache.Benchmarks;

/// <summary>
/// Holds every benchmark to its line in bench/budgets.json: bytes that the calling thread allocates per operation in steady state.
/// Counts with the runtime's own per-thread counter, so it takes seconds and its result does not depend on how busy the machine is.
/// Non-goals: time; what other threads allocate.
/// </summary>
internal static class AllocationBudgets
{
    private const int WarmUpCalls = 2_000;
    private const int MeasuredCalls = 10_000;

    /// <summary>Prints one line per benchmark; 0 if all keep their budgets, 1 if one does not, or has none, or a budget has no benchmark.</summary>
    public static int Check(TextWriter output)
    {
        Dictionary<string, double> budgets = Read();
        bool good = true;
        foreach (Type type in typeof(AllocationBudgets).Assembly.GetTypes()
            .Where(t => t is { IsPublic: true, IsAbstract: false }).OrderBy(t => t.Name, StringComparer.Ordinal))
        {
            MethodInfo[] benchmarks = type.GetMethods().Where(m => m.GetCustomAttribute<BenchmarkAttribute>() is not null).ToArray();
            if (benchmarks.Length == 0)
                continue;
            object instance = Activator.CreateInstance(type)!;
            SetParameters(instance);
            Call<GlobalSetupAttribute>(instance);
            foreach (MethodInfo method in benchmarks)
            {
                string name = $"{type.Name}.{method.Name}";
                double bytes = BytesPerOperation(instance, method);
                if (!budgets.Remove(name, out double budget))
                {
                    output.WriteLine($"FAIL {name}: {bytes:0.##} B/op, and no line in bench/budgets.json");
                    good = false;
                }
                else
                {
                    bool kept = bytes <= budget;
                    output.WriteLine($"{(kept ? "ok  " : "FAIL")} {name}: {bytes:0.##} B/op, budget {budget:0.##}");
                    good &= kept;
                }
            }

            Call<GlobalCleanupAttribute>(instance);
        }

        foreach (string name in budgets.Keys)
        {
#if !CLUSTER
            if (name.StartsWith("Cluster", StringComparison.Ordinal))
            {
                output.WriteLine($"skip {name}: built without the cluster (Cluster=false)");
                continue;
            }
#endif
            output.WriteLine($"FAIL {name}: has a budget but no benchmark");
            good = false;
        }

        return good ? 0 : 1;
    }

    private static Dictionary<string, double> Read()
    {
        string path = Path.Combine(AppContext.BaseDirectory, "budgets.json");
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(path));
        return document.RootElement.GetProperty("bytesAllocatedPerOperation").EnumerateObject()
            .ToDictionary(p => p.Name, p => p.Value.GetDouble(), StringComparer.Ordinal);
    }

    /// <summary>The first of each [Params]: budgets do not depend on sizes.</summary>
    private static void SetParameters(object instance)
    {
        foreach (PropertyInfo property in instance.GetType().GetProperties())
        {
            if (property.GetCustomAttribute<ParamsAttribute>() is { } parameters)
                property.SetValue(instance, parameters.Values[0]);
        }
    }

    private static void Call<TAttribute>(object instance)
        where TAttribute : Attribute
    {
        foreach (MethodInfo method in instance.GetType().GetMethods().Where(m => m.GetCustomAttribute<TAttribute>() is not null))
            method.Invoke(instance, null);
    }

    private static double BytesPerOperation(object instance, MethodInfo method)
    {
        // Reflection would box the result of each call; a typed delegate does not.
        Func<MethodInfo, object, double> measure = method.ReturnType switch
        {
            Type t when t == typeof(int) => Measure<int>,
            Type t when t == typeof(long) => Measure<long>,
            Type t when t == typeof(ulong) => Measure<ulong>,
            Type t when t == typeof(bool) => Measure<bool>,
            Type t when t == typeof(ValueTask) => MeasureTask,
            _ => throw new NotSupportedException($"{method.Name} returns {method.ReturnType}; return int, long, ulong, bool or ValueTask."),
        };
        int operations = method.GetCustomAttribute<BenchmarkAttribute>()!.OperationsPerInvoke;
        return measure(method, instance) / operations;
    }

    private static double Measure<T>(MethodInfo method, object instance)
    {
        Func<T> call = method.CreateDelegate<Func<T>>(instance);
        for (int i = 0; i < WarmUpCalls; i++)
            call();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < MeasuredCalls; i++)
            call();
        return (double)(GC.GetAllocatedBytesForCurrentThread() - before) / MeasuredCalls;
    }

    private static double MeasureTask(MethodInfo method, object instance)
    {
        Func<ValueTask> call = method.CreateDelegate<Func<ValueTask>>(instance);
        for (int i = 0; i < WarmUpCalls; i++)
            call().AsTask().GetAwaiter().GetResult();
        long before = GC.GetTotalAllocatedBytes(precise: true);
        for (int i = 0; i < MeasuredCalls; i++)
            call().AsTask().GetAwaiter().GetResult();
        return (double)(GC.GetTotalAllocatedBytes(precise: true) - before) / MeasuredCalls;
    }
}
